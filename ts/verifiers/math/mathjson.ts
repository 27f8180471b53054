// Expressions as MathJSON, the notation of the symbolic engine.
import type { Question } from "./decision.ts";
import { CONSTANTS, type Expression, writeExpression } from "./expression.ts";

/** The pair with its variables renamed (so that N or D mean nothing special); undefined where MathJSON has no word for a part. */
export function toMathJson(a: Expression, b: Expression): Question | undefined {
  const names = new Map<string, string>();
  try {
    const [left, right] = [convert(a, names), convert(b, names)];
    return { key: JSON.stringify([left, right]), left, right };
  } catch (error) {
    if (error instanceof NoWord) return undefined;
    throw error;
  }
}

// --- internal ---

class NoWord extends Error {}

type Json = string | number | { num: string } | Json[];

const OPERATIONS: Record<string, string> = { add: "Add", multiply: "Multiply", divide: "Divide", power: "Power", negate: "Negate", ratio: "Divide" };
const CALLS: Record<string, string> = {
  sin: "Sin",
  cos: "Cos",
  tan: "Tan",
  cot: "Cot",
  sec: "Sec",
  csc: "Csc",
  arcsin: "Arcsin",
  arccos: "Arccos",
  arctan: "Arctan",
  sinh: "Sinh",
  cosh: "Cosh",
  tanh: "Tanh",
  exp: "Exp",
  ln: "Ln",
  log: "Log",
  abs: "Abs",
  floor: "Floor",
  ceil: "Ceil",
  factorial: "Factorial",
  binomial: "Binomial",
  max: "Max",
  min: "Min",
  mod: "Mod",
  gcd: "GCD",
  lcm: "LCM",
};
const NAMES: Record<string, string> = { pi: "Pi", e: "ExponentialE", i: "ImaginaryUnit", infinity: "PositiveInfinity" };

function convert(e: Expression, names: Map<string, string>): Json {
  const all = (args: Expression[]): Json[] => args.map((arg) => convert(arg, names));
  switch (e.kind) {
    case "number":
      return e.value.d === 1n ? { num: String(e.value.n) } : ["Rational", { num: String(e.value.n) }, { num: String(e.value.d) }];
    case "symbol":
      return CONSTANTS.has(e.name) ? NAMES[e.name] : variable(e.name, names);
    case "operation":
      if (!(e.op in OPERATIONS)) throw new NoWord();
      return [OPERATIONS[e.op], ...all(e.args)];
    case "call":
      if (e.name === "log" && e.args.length === 1) return ["Ln", ...all(e.args)];
      return e.name in CALLS ? [CALLS[e.name], ...all(e.args)] : variable(writeExpression(e), names); // f(x) is an unknown of its own
    case "big":
      if (e.op !== "sum" && e.op !== "prod") throw new NoWord();
      return [e.op === "sum" ? "Sum" : "Product", convert(e.body, names), ["Limits", variable(e.index, names), convert(e.from, names), convert(e.to, names)]];
    case "quantity":
      if (e.unit === "%") return ["Divide", convert(e.value, names), 100];
      if (e.unit === "°") return ["Divide", ["Multiply", "Pi", convert(e.value, names)], 180];
      throw new NoWord();
    default:
      throw new NoWord();
  }
}

function variable(name: string, names: Map<string, string>): string {
  const known = names.get(name) ?? `v${names.size + 1}`;
  names.set(name, known);
  return known;
}
