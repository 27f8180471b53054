// Products, powers and what follows a value: factorials, signs of percent and degree, units.
import type { Cursor } from "./cursor.ts";
import { type Expression, operation } from "./expression.ts";
import { NotMath } from "./limits.ts";
import { parseSum } from "./parse.ts";
import { parsePrimary, startsPrimary } from "./parse_primary.ts";
import { parseDecimal, rational } from "./rational.ts";

/** Factors multiplied, divided or side by side; a word after them is their unit. */
export function parseTerm(cursor: Cursor): Expression {
  let value = parseFactor(cursor);
  for (;;) {
    if (cursor.isSign("*") || cursor.isCommand("times", "cdot")) {
      cursor.take();
      value = product(value, parseSignedFactor(cursor));
    } else if (cursor.isSign("/") || cursor.isCommand("over/")) {
      cursor.take();
      value = operation("divide", value, parseSignedFactor(cursor));
    } else if (cursor.isCommand("bmod", "pmod")) {
      cursor.take();
      value = { kind: "call", name: "mod", args: [value, parseFactor(cursor)] };
    } else if (cursor.is("word")) value = { kind: "quantity", value, unit: takeUnit(cursor) };
    else if (startsPrimary(cursor)) value = beside(cursor, value);
    else return value;
  }
}

/** A primary with its powers and postfix signs: x_1^2, 5!, 30°, 8 %. */
export function parseFactor(cursor: Cursor): Expression {
  let value = parsePrimary(cursor);
  for (;;) {
    if (cursor.isSign("!")) {
      cursor.take();
      value = { kind: "call", name: "factorial", args: [value] };
    } else if (cursor.isSign("%", "°")) value = { kind: "quantity", value, unit: cursor.take().text };
    else if (cursor.isSign("^") || cursor.isCommand("pow")) {
      cursor.take();
      value = operation("power", value, parseExponent(cursor));
    } else if (cursor.isSign("'")) {
      cursor.take();
      value = { kind: "call", name: "prime", args: [value] };
    } else return value;
  }
}

/** {…} or one factor with its sign and its own exponent, so that 2^3^2 is 2^9. */
export function parseExponent(cursor: Cursor): Expression {
  if (cursor.isSign("-", "+")) {
    const negative = cursor.take().text === "-";
    const size = cursor.nested(() => parseExponent(cursor));
    return negative ? operation("negate", size) : size;
  }
  const base = cursor.nested(() => parsePrimary(cursor));
  if (!cursor.isSign("^")) return base;
  cursor.take();
  return operation(
    "power",
    base,
    cursor.nested(() => parseExponent(cursor)),
  );
}

// --- internal ---

function product(a: Expression, b: Expression): Expression {
  return a.kind === "operation" && a.op === "multiply" ? { ...a, args: [...a.args, b] } : operation("multiply", a, b);
}

function parseSignedFactor(cursor: Cursor): Expression {
  if (!cursor.isSign("-", "+")) return parseFactor(cursor);
  const negative = cursor.take().text === "-";
  const value = parseFactor(cursor);
  return negative ? operation("negate", value) : value;
}

/** Side by side: a mixed number (1\frac45, 1 4/5) or a product. */
function beside(cursor: Cursor, value: Expression): Expression {
  const whole = isWhole(value);
  if (cursor.is("number") && isNumber(value)) return mixedInLine(cursor, value);
  const fraction = whole && cursor.isCommand("frac");
  const next = parseFactor(cursor);
  const proper = next.kind === "operation" && next.op === "divide" && next.args.every(isWhole);
  return fraction && proper ? operation("add", value, next) : product(value, next);
}

/** 1 4/5 */
function mixedInLine(cursor: Cursor, value: Expression): Expression {
  const [n, slash, d] = [cursor.take().text, cursor.take().text, cursor.take().text];
  if (!isWhole(value) || slash !== "/" || !/^\d+$/.test(n) || !/^\d+$/.test(d)) throw new NotMath("two numbers side by side");
  return operation("add", value, { kind: "number", value: rational(BigInt(n), BigInt(d)), decimal: false });
}

const isNumber = (e: Expression): boolean => e.kind === "number";
const isWhole = (e: Expression): boolean => e.kind === "number" && !e.decimal && e.value.d === 1n;

/** "km/h", "cm^2", "square meters": words with their powers and divisions. */
function takeUnit(cursor: Cursor): string {
  let unit = "";
  for (;;) {
    if (cursor.is("word")) unit += `${unit === "" ? "" : " "}${cursor.take().text}`;
    else if (unit !== "" && cursor.isSign("^")) {
      cursor.take();
      unit += `^${exponentText(cursor)}`;
    } else if (cursor.isSign("/") && (cursor.peek(1).type === "word" || cursor.peek(1).type === "letter")) {
      cursor.take();
      unit += `/${cursor.take().text}`;
    } else return unit;
  }
}

function exponentText(cursor: Cursor): string {
  const exponent = cursor.accept("sign", "{") ? parseSum(cursor) : parsePrimary(cursor);
  if (cursor.is("sign", "}")) cursor.take();
  if (exponent.kind === "number") return String(exponent.value.n);
  if (exponent.kind === "operation" && exponent.op === "negate" && exponent.args[0].kind === "number") return `-${exponent.args[0].value.n}`;
  throw new NotMath("a unit with such an exponent");
}

export const numberOf = (text: string): Expression => ({ kind: "number", value: parseDecimal(text), decimal: /[.eE]/.test(text) });
