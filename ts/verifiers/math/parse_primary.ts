// The smallest parts of a formula: numbers, symbols with their subscripts, brackets, fractions, roots, functions, matrices.
import type { Cursor } from "./cursor.ts";
import { type Expression, operation } from "./expression.ts";
import { FUNCTIONS } from "./lexer.ts";
import { NotMath } from "./limits.ts";
import { parseBrackets, parseList, parseSum } from "./parse.ts";
import { parseBig, parseFunction, parseMatrix } from "./parse_calls.ts";
import { numberOf } from "./parse_terms.ts";

export function parsePrimary(cursor: Cursor): Expression {
  const token = cursor.next;
  if (token.type === "number") return parseNumber(cursor);
  if (token.type === "letter") return parseSymbol(cursor);
  if (token.type === "word") return { kind: "text", text: cursor.take().text };
  if (token.type === "sign" && "([{|".includes(token.text)) return parseGroup(cursor);
  if (token.type === "command") return parseCommand(cursor);
  throw new NotMath(token.type === "end" ? "a formula that breaks off" : `${JSON.stringify(token.text)} where a value was expected`);
}

/** Could the next token begin a factor, so that it stands beside the one before? */
export function startsPrimary(cursor: Cursor): boolean {
  const { type, text } = cursor.next;
  if (type === "number" || type === "letter") return true;
  if (type === "sign") return "([{".includes(text);
  return type === "command" && (VALUES.has(text) || FUNCTIONS.has(text));
}

/** The argument of a command: {…}, or one token, of which a number gives one digit. */
export function parseArgument(cursor: Cursor): Expression {
  if (cursor.isSign("{")) return parseGroup(cursor);
  if (cursor.is("number")) return numberOf(cursor.takeDigit().text);
  return cursor.nested(() => parsePrimary(cursor));
}

/** Text of a subscript: {n-1}, 1 or n. */
export function subscriptText(cursor: Cursor): string {
  if (!cursor.accept("sign", "{")) return cursor.take().text;
  let text = "";
  for (let depth = 1; ; ) {
    const token = cursor.take();
    if (token.type === "end") throw new NotMath("a subscript that breaks off");
    if (token.type === "sign" && token.text === "{") depth++;
    if (token.type === "sign" && token.text === "}" && --depth === 0) return text;
    text += token.text;
  }
}

// --- internal ---

const VALUES: ReadonlySet<string> = new Set("frac binom sqrt pi infty emptyset sum prod int lim lfloor lceil langle { begin dots".split(" "));
/** Names that are functions when a bracket follows them; other letters are when the bracket holds one symbol or number, as in x(t). */
const FUNCTION_LETTERS = /^(?:[fghFGHPWQ]|\\(?:phi|psi|delta|mho|Gamma))$/;

function parseNumber(cursor: Cursor): Expression {
  const { text } = cursor.take();
  if (!cursor.isSign("_")) return numberOf(text);
  cursor.take();
  return { kind: "numeral", digits: text, base: subscriptText(cursor) };
}

function parseSymbol(cursor: Cursor): Expression {
  let name = cursor.take().text;
  if (name === "\\pi") name = "pi";
  let plain = true;
  while (cursor.isSign("_")) {
    cursor.take();
    name += `_${subscriptText(cursor)}`;
    plain = false;
  }
  if (plain && /^\\(?:arc|operator)/.test(name)) throw new NotMath(`the command ${name}`);
  while (cursor.isSign("'")) name += cursor.take().text;
  if (cursor.isSign("(") && name !== "e" && name !== "i" && isCall(cursor, name)) {
    cursor.take();
    const inside = parseBrackets(cursor, "(");
    return { kind: "call", name, args: inside.kind === "sequence" && inside.open === "(" ? inside.items : [inside] };
  }
  return { kind: "symbol", name };
}

function isCall(cursor: Cursor, name: string): boolean {
  if (FUNCTION_LETTERS.test(name.replace(/['_].*$/s, ""))) return true;
  const inside = cursor.peek(1);
  return cursor.peek(2).text === ")" && (inside.type === "letter" || inside.type === "number");
}

function parseGroup(cursor: Cursor): Expression {
  const open = cursor.take().text;
  return cursor.nested(() => {
    if (open === "(" || open === "[") return parseBrackets(cursor, open);
    if (open === "{") {
      const inside = parseList(cursor, ["}"]);
      cursor.expect("sign", "}");
      return inside;
    }
    return parseBars(cursor);
  });
}

function parseCommand(cursor: Cursor): Expression {
  const name = cursor.take().text;
  if (FUNCTIONS.has(name)) return parseFunction(cursor, name);
  return cursor.nested(() => {
    switch (name) {
      case "pi":
        return { kind: "symbol", name: "pi" };
      case "infty":
        return { kind: "symbol", name: "infinity" };
      case "dots":
        return { kind: "symbol", name: "…" };
      case "emptyset":
        return { kind: "sequence", open: "{", close: "}", items: [] };
      case "frac":
        return operation("divide", parseArgument(cursor), parseArgument(cursor));
      case "binom":
        return { kind: "call", name: "binomial", args: [parseArgument(cursor), parseArgument(cursor)] };
      case "sqrt":
        return parseRoot(cursor);
      case "lfloor":
      case "lceil":
        return parseRounding(cursor, name === "lfloor" ? "floor" : "ceil");
      case "langle":
        return parseBrackets(cursor, "<");
      case "{":
        return parseBrackets(cursor, "{");
      case "|":
        return parseBars(cursor);
      case "begin":
        return parseMatrix(cursor);
      case "sum":
      case "prod":
      case "int":
      case "lim":
        return parseBig(cursor, name);
      default:
        throw new NotMath(`the command \\${name}`);
    }
  });
}

function parseBars(cursor: Cursor): Expression {
  const size = parseSum(cursor);
  if (!cursor.accept("command", "|")) cursor.expect("sign", "|");
  return { kind: "call", name: "abs", args: [size] };
}

function parseRoot(cursor: Cursor): Expression {
  let degree: Expression = numberOf("2");
  if (cursor.accept("sign", "[")) {
    degree = parseSum(cursor);
    cursor.expect("sign", "]");
  }
  const inside = cursor.is("number") ? numberOf(cursor.take().text) : parseArgument(cursor);
  return operation("power", inside, operation("divide", numberOf("1"), degree));
}

function parseRounding(cursor: Cursor, name: "floor" | "ceil"): Expression {
  const inside = parseSum(cursor);
  cursor.expect("command", name === "floor" ? "rfloor" : "rceil");
  return { kind: "call", name, args: [inside] };
}
