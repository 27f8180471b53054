// From the text of an answer to a tree: answers separated by commas, "and", "or" or ";", then sets, relations, sums (parse_terms.ts).

import { cleanFormula } from "./clean.ts";
import { Cursor } from "./cursor.ts";
import { type Bracket, type Expression, list, operation, type RelationOp } from "./expression.ts";
import { type Token, tokenize } from "./lexer.ts";
import { MAX_ANSWER, MAX_ITEMS, MathLimit, NotMath } from "./limits.ts";
import { parseTerm } from "./parse_terms.ts";

/** Throws NotMath where the text is no formula known here, MathLimit where it is too long or too deep. Linear in the text. */
export function parseAnswer(text: string): Expression {
  if (text.length > MAX_ANSWER) throw new MathLimit(`it has ${text.length} characters, more than ${MAX_ANSWER}`);
  const cursor = new Cursor(tokenize(cleanFormula(text)));
  const parsed = parseList(cursor, ["end"]);
  if (cursor.next.type !== "end") throw new NotMath(`${JSON.stringify(cursor.next.text)} after the formula`);
  return parsed;
}

/** Items up to one of the closing tokens (which stays); one item is itself, several are a bare list. */
export function parseList(cursor: Cursor, until: string[]): Expression {
  const items: Expression[] = [];
  const atEnd = () => until.includes(cursor.next.type === "end" ? "end" : cursor.next.text);
  for (;;) {
    while (skipSeparator(cursor)); // "5, and 6"
    if (atEnd()) break;
    items.push(cursor.nested(() => parseItem(cursor)));
    if (items.length > MAX_ITEMS) throw new MathLimit(`it lists more than ${MAX_ITEMS} items`);
    if (atEnd()) break;
    if (!skipSeparator(cursor)) throw new NotMath(`${JSON.stringify(cursor.next.text)} inside the formula`);
  }
  if (items.length === 0) throw new NotMath("nothing to read");
  return items.length === 1 ? items[0] : list(items);
}

/** ( … ), [ … ), \{ … \}: a group when it holds one item in round or square brackets, else a sequence. The opening bracket is taken. */
export function parseBrackets(cursor: Cursor, open: Bracket): Expression {
  const closers = open === "{" ? ["}"] : open === "<" ? ["rangle", ">"] : [")", "]"];
  if (closers.includes(cursor.next.text)) {
    cursor.take();
    return { kind: "sequence", open, close: open === "{" ? "}" : ")", items: [] };
  }
  const inside = parseList(cursor, closers);
  if (cursor.next.type === "end") throw new NotMath("a bracket that is not closed");
  const closer = cursor.take().text;
  const close = (closer === "rangle" ? ">" : closer) as Bracket;
  if (inside.kind === "sequence" && inside.open === "") return { ...inside, open, close };
  return open === "{" ? { kind: "sequence", open, close, items: [inside] } : inside;
}

/** a + b - c ± d */
export function parseSum(cursor: Cursor): Expression {
  const terms: Expression[] = [];
  let whole: Expression | undefined;
  for (;;) {
    const sign = signOf(cursor.next);
    if (sign === undefined && whole) return whole;
    if (sign) cursor.take();
    const term = cursor.nested(() => (signOf(cursor.next) ? parseSum(cursor) : parseTerm(cursor)));
    if (sign === "±" || sign === "∓") whole = operation(sign === "±" ? "plusminus" : "minusplus", ...(whole ? [whole, term] : [term]));
    else if (!whole) whole = sign === "-" ? operation("negate", term) : term;
    else {
      const signed = sign === "-" ? operation("negate", term) : term;
      whole =
        whole.kind === "operation" && whole.op === "add" && terms.at(-1) === whole
          ? { ...whole, args: [...whole.args, signed] }
          : operation("add", whole, signed);
      terms[0] = whole;
    }
  }
}

// --- internal ---

const RELATIONS: Record<string, RelationOp> = { "=": "=", eq: "=", neq: "!=", "<": "<", ">": ">", leq: "<=", geq: ">=", in: "in", equiv: "congruent" };

function skipSeparator(cursor: Cursor): boolean {
  if (!cursor.isSign(",", ";") && !cursor.isCommand("and") && !cursor.is("newline")) return false;
  cursor.take();
  return true;
}

/** A relation chain over unions over ratios over sums; what follows "≈" is a rounded repetition and is skipped. */
function parseItem(cursor: Cursor): Expression {
  const args = [parseUnion(cursor)];
  const ops: RelationOp[] = [];
  for (;;) {
    if (cursor.isCommand("approx")) {
      cursor.take();
      parseUnion(cursor);
      continue;
    }
    const op = (cursor.is("sign") || cursor.is("command")) && RELATIONS[cursor.next.text];
    if (!op) break;
    cursor.take();
    ops.push(op);
    args.push(parseUnion(cursor));
  }
  return ops.length === 0 ? args[0] : { kind: "relation", ops, args };
}

function parseUnion(cursor: Cursor): Expression {
  let left = parseRatio(cursor);
  while (cursor.isCommand("cup", "cap", "setminus")) {
    const op = cursor.take().text as "cup" | "cap" | "setminus";
    const right = parseRatio(cursor);
    left = { kind: "union", op, args: left.kind === "union" && left.op === op && op !== "setminus" ? [...left.args, right] : [left, right] };
  }
  return left;
}

function parseRatio(cursor: Cursor): Expression {
  const parts = [parseSum(cursor)];
  while (cursor.isSign(":") || cursor.isCommand(":")) {
    cursor.take();
    parts.push(parseSum(cursor));
  }
  return parts.length === 1 ? parts[0] : operation("ratio", ...parts);
}

function signOf(token: Token): "+" | "-" | "±" | "∓" | undefined {
  if (token.type === "sign" && (token.text === "+" || token.text === "-")) return token.text;
  if (token.type === "command" && (token.text === "pm" || token.text === "mp")) return token.text === "pm" ? "±" : "∓";
  return undefined;
}
