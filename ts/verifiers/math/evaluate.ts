// The value of an expression in double precision, its variables given.
import * as c from "./complex.ts";
import { type Expression, writeExpression } from "./expression.ts";
import { spend } from "./limits.ts";
import * as q from "./rational.ts";

/** NaN where it is not defined. An unknown function f(x) has a value that depends on its name and arguments alone. */
export function evaluate(e: Expression, variables: ReadonlyMap<string, number>): c.Complex {
  return new Evaluation(variables).value(e);
}

/** Can evaluate() give the expression a value at all? */
export function isEvaluable(e: Expression): boolean {
  switch (e.kind) {
    case "number":
    case "symbol":
      return true;
    case "operation":
      return !["plusminus", "minusplus"].includes(e.op) && e.args.every(isEvaluable);
    case "call":
      return e.name !== "det" && e.args.every(isEvaluable);
    case "big":
      return (e.op === "sum" || e.op === "prod") && [e.from, e.to, e.body].every(isEvaluable);
    case "quantity":
      return (e.unit === "%" || e.unit === "°") && isEvaluable(e.value);
    default:
      return false;
  }
}

// --- internal ---

const NAN = c.complex(Number.NaN);
const CONSTANTS: Record<string, c.Complex> = {
  pi: c.complex(Math.PI),
  e: c.complex(Math.E),
  i: c.complex(0, 1),
  infinity: c.complex(Number.POSITIVE_INFINITY),
};

class Evaluation {
  private readonly variables: Map<string, number>;

  constructor(variables: ReadonlyMap<string, number>) {
    this.variables = new Map(variables);
  }

  value(e: Expression): c.Complex {
    spend(1);
    switch (e.kind) {
      case "number":
        return c.complex(q.toNumber(e.value));
      case "symbol": {
        const value = this.variables.get(e.name);
        return value === undefined ? (CONSTANTS[e.name] ?? NAN) : c.complex(value);
      }
      case "operation":
        return this.operation(e);
      case "call":
        return this.call(e);
      case "big":
        return this.big(e);
      case "quantity":
        return c.divide(this.value(e.value), c.complex(e.unit === "%" ? 100 : e.unit === "°" ? 180 / Math.PI : Number.NaN));
      default:
        return NAN;
    }
  }

  private operation(e: Expression & { kind: "operation" }): c.Complex {
    const values = e.args.map((arg) => this.value(arg));
    if (e.op === "negate") return c.negate(values[0]);
    if (e.op === "power") return e.args[0].kind === "symbol" && e.args[0].name === "e" ? c.exp(values[1]) : c.power(values[0], values[1]);
    if (e.op === "add") return values.reduce(c.add);
    if (e.op === "multiply") return values.reduce(c.multiply);
    return e.op === "divide" || e.op === "ratio" ? values.reduce(c.divide) : NAN;
  }

  private call(e: Expression & { kind: "call" }): c.Complex {
    const values = e.args.map((arg) => this.value(arg));
    const known = c.FUNCTIONS[e.name];
    if (known && values.length === 1) return known(values[0]);
    if (e.name === "log") return c.divide(c.log(values[0]), values[1] ? c.log(values[1]) : c.complex(1));
    const reals = values.map((value) => (c.isReal(value) ? value.re : Number.NaN));
    if (e.name === "binomial") return c.complex(binomialOf(reals));
    if (e.name === "min" || e.name === "max") return c.complex(Math[e.name](...reals));
    if (e.name === "mod") return c.complex(reals[1] > 0 ? reals[0] - reals[1] * Math.floor(reals[0] / reals[1]) : Number.NaN);
    if (e.name === "gcd" || e.name === "lcm") return c.complex(divisor(e.name, reals));
    return c.complex(opaque(e.name === "prime" ? writeExpression(e.args[0]) : e.name, values));
  }

  private big(e: Expression & { kind: "big" }): c.Complex {
    const [from, to] = [this.value(e.from), this.value(e.to)];
    if (!c.isReal(from) || !c.isReal(to) || !Number.isInteger(from.re) || !Number.isInteger(to.re) || to.re - from.re > 300) return NAN;
    const before = this.variables.get(e.index);
    let total = c.complex(e.op === "sum" ? 0 : 1);
    for (let i = from.re; i <= to.re; i++) {
      this.variables.set(e.index, i);
      total = e.op === "sum" ? c.add(total, this.value(e.body)) : c.multiply(total, this.value(e.body));
    }
    if (before === undefined) this.variables.delete(e.index);
    else this.variables.set(e.index, before);
    return total;
  }
}

const binomialOf = ([n, k]: number[]): number => c.binomial(n, k);

function divisor(name: "gcd" | "lcm", values: number[]): number {
  if (values.some((value) => !Number.isInteger(value) || Math.abs(value) > 2 ** 53)) return Number.NaN;
  const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));
  return name === "gcd" ? values.reduce(gcd, 0) : values.reduce((a, b) => (a === 0 || b === 0 ? 0 : Math.abs(a * b) / gcd(a, b)), 1);
}

/** A number in 0.5..2 that depends on the name and on nine digits of each argument. */
function opaque(name: string, values: c.Complex[]): number {
  const text = `${name}(${values.map((value) => `${value.re.toPrecision(9)},${value.im.toPrecision(9)}`)})`;
  let hash = 2166136261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return 0.5 + (1.5 * (hash >>> 0)) / 2 ** 32;
}
