// The exact value of a constant expression, where it is rational.
import type { Expression } from "./expression.ts";
import { MathLimit, spend } from "./limits.ts";
import * as q from "./rational.ts";

/** undefined where the value is not rational or not known to be; throws MathLimit where it is too large or divides by zero. */
export function exactValue(e: Expression): q.Rational | undefined {
  switch (e.kind) {
    case "number":
      return e.value;
    case "operation":
      return exactOperation(e);
    case "call":
      return exactCall(e.name, e.args);
    case "big":
      return exactBig(e);
    default:
      return undefined;
  }
}

// --- internal ---

/** Longest sum or product that is added up here; a longer one is left to the symbolic step. */
const MAX_TERMS = 300n;

function exactOperation(e: Expression & { kind: "operation" }): q.Rational | undefined {
  if (e.op === "plusminus" || e.op === "minusplus") return undefined;
  if (e.op === "power") return exactPower(e.args[0], e.args[1]);
  const values: q.Rational[] = [];
  for (const arg of e.args) {
    const value = exactValue(arg);
    if (value === undefined) return undefined;
    values.push(value);
  }
  if (e.op === "negate") return q.negate(values[0]);
  if (e.op === "ratio") return values.length === 2 ? q.divide(values[0], values[1]) : undefined;
  return values.reduce(e.op === "add" ? q.add : e.op === "multiply" ? q.multiply : q.divide);
}

function exactPower(baseOf: Expression, exponentOf: Expression): q.Rational | undefined {
  const exponent = exactValue(exponentOf);
  if (exponent === undefined) return undefined;
  const base = exactValue(baseOf);
  if (base === undefined) return undefined;
  if (base.n === 0n && exponent.n === 0n) throw new MathLimit("0^0 is in it");
  if (q.isInteger(exponent)) return q.power(base, exponent.n);
  const root = exponent.d <= 100n ? q.exactRoot(base, Number(exponent.d)) : undefined;
  return root && q.power(root, exponent.n);
}

function exactCall(name: string, args: Expression[]): q.Rational | undefined {
  if (!EXACT.has(name)) return undefined;
  const values = args.map(exactValue);
  if (values.some((value) => value === undefined)) return undefined;
  const [a, b] = values as q.Rational[];
  if (name === "abs") return a.n < 0n ? q.negate(a) : a;
  if (name === "floor") return q.floor(a);
  if (name === "ceil") return q.negate(q.floor(q.negate(a)));
  if (name === "min" || name === "max") return (values as q.Rational[]).reduce((x, y) => (q.compare(x, y) < 0 === (name === "min") ? x : y));
  if (!q.isInteger(a) || (b && !q.isInteger(b))) return undefined;
  if (name === "factorial") return q.factorial(a.n);
  if (b === undefined) return undefined;
  if (name === "mod") return b.n > 0n ? { n: ((a.n % b.n) + b.n) % b.n, d: 1n } : undefined;
  if (name === "binomial") return binomial(a.n, b.n);
  return undefined;
}

const EXACT: ReadonlySet<string> = new Set(["abs", "floor", "ceil", "factorial", "binomial", "min", "max", "mod"]);

function binomial(n: bigint, k: bigint): q.Rational {
  if (n < 0n || k < 0n || n > 1500n) throw new MathLimit("a binomial coefficient in it is too large");
  if (k > n) return q.ZERO;
  spend(10 * Number(k));
  let value = 1n;
  for (let i = 1n; i <= k; i++) value = (value * (n - k + i)) / i;
  return { n: value, d: 1n };
}

function exactBig(e: Expression & { kind: "big" }): q.Rational | undefined {
  if (e.op !== "sum" && e.op !== "prod") return undefined;
  const from = exactValue(e.from);
  const to = exactValue(e.to);
  if (!from || !to || !q.isInteger(from) || !q.isInteger(to) || to.n - from.n >= MAX_TERMS) return undefined;
  let total = e.op === "sum" ? q.ZERO : q.ONE;
  for (let i = from.n; i <= to.n; i++) {
    const term = exactValue(substitute(e.body, e.index, { n: i, d: 1n }));
    if (term === undefined) return undefined;
    total = e.op === "sum" ? q.add(total, term) : q.multiply(total, term);
  }
  return total;
}

function substitute(e: Expression, name: string, value: q.Rational): Expression {
  spend(1);
  switch (e.kind) {
    case "symbol":
      return e.name === name ? { kind: "number", value, decimal: false } : e;
    case "operation":
    case "call":
      return { ...e, args: e.args.map((arg) => substitute(arg, name, value)) };
    case "big":
      throw new MathLimit("it sums over sums");
    default:
      return e;
  }
}
