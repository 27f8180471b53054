// Are two numbers or formulas equal? Exact value, then numeric, then (formulas) refuted at sample points, then symbolic, then sampled.
import * as c from "./complex.ts";
import { type Context, type Decision, decide } from "./decision.ts";
import { evaluate, isEvaluable } from "./evaluate.ts";
import { exactValue } from "./exact.ts";
import { type Expression, some, variablesOf, writeExpression } from "./expression.ts";
import { MathLimit } from "./limits.ts";
import { toMathJson } from "./mathjson.ts";
import * as q from "./rational.ts";
import { sample } from "./sample.ts";

/** `gold` and `answer` are formulas: no lists, relations or text on the outside. */
export function compareScalars(gold: Expression, answer: Expression, context: Context): Decision {
  if (writeExpression(gold) === writeExpression(answer)) return decide(true, "text", "they are written alike");
  if (!isEvaluable(gold) || !isEvaluable(answer)) return askSymbolic(gold, answer, context, undefined);
  return variablesOf(gold, answer).length === 0 ? compareConstants(gold, answer, context) : compareFormulas(gold, answer, context);
}

// --- internal ---

/** Doubles that agree to this are one number; so much is lost in evaluating them. */
const ROUNDING = 1e-10;

function compareConstants(gold: Expression, answer: Expression, context: Context): Decision {
  const [a, b] = [exactValue(gold), exactValue(answer)];
  const decimal = some(gold, isDecimal) || some(answer, isDecimal);
  const { tolerance, decimalTolerance } = context.options;
  if (a && b) {
    if (q.same(a, b)) return decide(true, "exact value", `both are ${q.toText(a)}`);
    if (decimal && decimalTolerance > 0 && relativeDifference(a, b) <= decimalTolerance)
      return decide(true, "numeric", `they differ by at most ${decimalTolerance} of their size`);
    return decide(false, "exact value", `${q.toText(b)} is not ${q.toText(a)}`);
  }
  const [x, y] = [evaluate(gold, NOTHING), evaluate(answer, NOTHING)];
  const infinite = [gold, answer].some((e) => some(e, isInfinity));
  if (!infinite && (Math.abs(x.re) === Number.POSITIVE_INFINITY || Math.abs(y.re) === Number.POSITIVE_INFINITY)) throw new MathLimit("its value is too large");
  if (infinite && !Number.isNaN(x.re) && !Number.isNaN(y.re)) return decide(x.re === y.re, "exact value", `they are ${show(x)} and ${show(y)}`);
  if (!c.isDefined(x) || !c.isDefined(y)) return askSymbolic(gold, answer, context, undefined);
  const difference = c.size(c.add(x, c.negate(y)));
  const allowed = Math.max(ROUNDING, decimal ? Math.max(tolerance, decimalTolerance) : 0) * Math.max(c.size(x), c.size(y));
  const zero = (a?.n === 0n || b?.n === 0n) && difference < 1e-13;
  const equal = difference <= allowed || zero;
  return decide(
    equal,
    "numeric",
    equal ? `both are ${show(y)} (${decimal ? `within ${tolerance} of their size` : "in double precision"})` : `${show(y)} is not ${show(x)}`,
  );
}

function compareFormulas(gold: Expression, answer: Expression, context: Context): Decision {
  if (isOverflow(gold) !== isOverflow(answer)) return decide(false, "numeric", "one is a number beyond all values of the other");
  const sampled = sample(gold, answer);
  if (sampled.equal === false) return decide(false, "sampling", `they differ at ${sampled.where}`);
  return askSymbolic(gold, answer, context, sampled.equal ? `they agree at all ${sampled.points} seeded points` : undefined);
}

/** The symbolic step's answer, if it is there; `sampled` says why sampling holds them equal, for when that step cannot tell. */
function askSymbolic(gold: Expression, answer: Expression, context: Context, sampled: string | undefined): Decision {
  const question = toMathJson(gold, answer);
  if (question === undefined) return sampled ? decide(true, "sampling", sampled) : decide(undefined, "structure", "they hold what cannot be evaluated");
  if (!context.answers.has(question.key)) {
    context.open ??= question;
    return decide(undefined, "symbolic", "the symbolic step is still to be asked");
  }
  const equal = context.answers.get(question.key);
  if (equal === true) return decide(true, "symbolic", "their difference simplifies to 0");
  if (sampled) return decide(true, "sampling", sampled); // simplified or not, a difference of 0 at every point outweighs it
  return equal === false
    ? decide(false, "symbolic", "their difference does not simplify to 0")
    : decide(undefined, "symbolic", "the symbolic step could not tell");
}

/** A constant too large for a double, such as 2^4950, beside a formula. */
function isOverflow(e: Expression): boolean {
  return variablesOf(e).length === 0 && !some(e, isInfinity) && Math.abs(evaluate(e, NOTHING).re) === Number.POSITIVE_INFINITY;
}

const isInfinity = (e: Expression): boolean => e.kind === "symbol" && e.name === "infinity";
const NOTHING: ReadonlyMap<string, number> = new Map();
const isDecimal = (e: Expression): boolean => e.kind === "number" && e.decimal;

function relativeDifference(a: q.Rational, b: q.Rational): number {
  const difference = q.add(a, q.negate(b));
  const larger = Math.abs(q.toNumber(a)) > Math.abs(q.toNumber(b)) ? a : b;
  return larger.n === 0n ? 0 : Math.abs(q.toNumber(q.divide(difference, larger)));
}

const show = (x: c.Complex): string =>
  c.isReal(x) ? String(Number(x.re.toPrecision(12))) : `${Number(x.re.toPrecision(12))}${x.im < 0 ? "" : "+"}${Number(x.im.toPrecision(12))}i`;
