// Functions, sums and products over an index, and matrices.
import type { Cursor } from "./cursor.ts";
import type { Expression } from "./expression.ts";
import { MAX_ITEMS, MathLimit, NotMath } from "./limits.ts";
import { parseBrackets, parseSum } from "./parse.ts";
import { parseArgument, startsPrimary, subscriptText } from "./parse_primary.ts";
import { numberOf, parseExponent, parseFactor, parseTerm } from "./parse_terms.ts";

/** sin x, \sin^2(x), \log_2 8, max(a, b). Without brackets the argument goes up to the next sign or function. */
export function parseFunction(cursor: Cursor, name: string): Expression {
  let base: Expression | undefined;
  let exponent: Expression | undefined;
  for (let i = 0; i < 2; i++) {
    if (cursor.isSign("_") && name === "log") {
      cursor.take();
      base = parseArgument(cursor);
    } else if (cursor.isSign("^")) {
      cursor.take();
      exponent = parseExponent(cursor);
    }
  }
  const args = cursor.nested(() => functionArguments(cursor));
  if (exponent && isMinusOne(exponent) && ["sin", "cos", "tan"].includes(name)) return { kind: "call", name: `arc${name}`, args };
  const call: Expression = { kind: "call", name: SAME[name] ?? name, args: base ? [...args, base] : args };
  return exponent ? { kind: "operation", op: "power", args: [call, exponent] } : call;
}

/** \sum_{k=1}^{n} …, \prod…; an integral or limit is kept as written, with its text as its name. */
export function parseBig(cursor: Cursor, op: string): Expression {
  let under = "";
  let index = "";
  let from: Expression = numberOf("0");
  let to: Expression = numberOf("0");
  for (let i = 0; i < 2; i++) {
    if (cursor.accept("sign", "_")) {
      if (cursor.isSign("{") && cursor.peek(1).type === "letter" && cursor.peek(2).text === "=") {
        cursor.take();
        index = cursor.take().text;
        cursor.take();
        from = parseSum(cursor);
        cursor.expect("sign", "}");
      } else under = subscriptText(cursor);
    } else if (cursor.accept("sign", "^")) to = parseArgument(cursor);
  }
  const body = parseTerm(cursor);
  const known = (op === "sum" || op === "prod") && index !== "";
  if (!known && index === "") index = /^[a-zA-Z]/.exec(under)?.[0] ?? "";
  return { kind: "big", op: known ? op : `${op} ${under}`, index, from, to, body };
}

/** pmatrix, bmatrix, array, vmatrix: rows of cells. The command \begin is taken. */
export function parseMatrix(cursor: Cursor): Expression {
  const name = environment(cursor);
  if (!/^(?:[pbvVB]?matrix|smallmatrix|array)$/.test(name)) throw new NotMath(`the environment ${name}`);
  if (name === "array" && cursor.isSign("{")) subscriptText(cursor);
  const rows: Expression[][] = [[]];
  while (!cursor.isCommand("end")) {
    if (cursor.is("newline")) {
      cursor.take();
      if (!cursor.isCommand("end")) rows.push([]);
    } else if (cursor.isSign("&")) cursor.take();
    else rows[rows.length - 1].push(parseSum(cursor));
    if (rows.length * (rows[0].length + 1) > 2 * MAX_ITEMS) throw new MathLimit(`it is a matrix of more than ${MAX_ITEMS} entries`);
  }
  cursor.take();
  environment(cursor);
  if (rows.some((row) => row.length === 0 || row.length !== rows[0].length)) throw new NotMath("a matrix with rows of different lengths");
  const matrix: Expression = { kind: "matrix", rows };
  return name === "vmatrix" ? { kind: "call", name: "det", args: [matrix] } : matrix;
}

// --- internal ---

const SAME: Record<string, string> = { asin: "arcsin", acos: "arccos", atan: "arctan", lg: "log" };

function functionArguments(cursor: Cursor): Expression[] {
  if (cursor.isSign("(", "[")) {
    const open = cursor.take().text as "(" | "[";
    const inside = parseBrackets(cursor, open);
    return inside.kind === "sequence" && inside.open === open ? inside.items : [inside];
  }
  if (cursor.isSign("{")) return [parseArgument(cursor)];
  if (cursor.next.type === "end") throw new NotMath("a function without its argument");
  let argument = cursor.isSign("-") ? parseSum(cursor) : parseFactor(cursor);
  while (startsPrimary(cursor) && !cursor.isSign("(", "[") && (cursor.next.type !== "command" || cursor.isCommand("pi", "frac", "sqrt")))
    argument = { kind: "operation", op: "multiply", args: [argument, parseFactor(cursor)] };
  return [argument];
}

const isMinusOne = (e: Expression): boolean =>
  e.kind === "operation" && e.op === "negate" && e.args[0].kind === "number" && e.args[0].value.n === 1n && e.args[0].value.d === 1n;

function environment(cursor: Cursor): string {
  if (!cursor.isSign("{")) throw new NotMath("an environment without a name");
  return subscriptText(cursor);
}
