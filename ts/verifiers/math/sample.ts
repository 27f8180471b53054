// Two formulas at seeded points. A difference at one point proves them different; agreement at all is strong evidence, no proof.
import * as c from "./complex.ts";
import { evaluate } from "./evaluate.ts";
import { exactValue } from "./exact.ts";
import { type Expression, some, variablesOf } from "./expression.ts";

export interface Sampled {
  equal: boolean | undefined; // undefined: too few points where both are defined
  points: number;
  where: string; // the point that tells them apart
}

/**
 * Points are positive first, then of both signs where no root or logarithm asks for positive variables, and integers where
 * floors, factorials or binomials do. The same pair has the same points always.
 */
export function sample(a: Expression, b: Expression): Sampled {
  let points = 0;
  for (const { values, x, y } of samplePoints(a, b)) {
    const scale = Math.max(c.size(x), c.size(y));
    const difference = c.size(c.add(x, c.negate(y)));
    if (difference <= AGREE * scale || (difference < 1e-12 && (isZero(a) || isZero(b)))) points++;
    else if (difference > DIFFER * scale)
      return { equal: false, points, where: [...values].map(([name, value]) => `${name} = ${Number(value.toPrecision(4))}`).join(", ") };
  }
  return { equal: points >= ENOUGH ? true : undefined, points, where: "" };
}

/** The constant k with a = k·b at every point, if there is one. */
export function sampleRatio(a: Expression, b: Expression): number | undefined {
  const ratios: number[] = [];
  for (const { x, y } of samplePoints(a, b)) if (c.size(y) > 1e-9 && c.size(x) > 1e-9) ratios.push(c.divide(x, y).re);
  const [first] = ratios;
  return ratios.length >= ENOUGH && ratios.every((ratio) => Math.abs(ratio - first) <= AGREE * Math.abs(first)) ? first : undefined;
}

// --- internal ---

const POINTS = 10;
const TRIES = 40;
const INTEGER_POINTS = 60; // steps of a floor are far apart
const ENOUGH = 4;
const AGREE = 1e-9;
const DIFFER = 1e-6;

function* samplePoints(a: Expression, b: Expression): Generator<{ values: Map<string, number>; x: c.Complex; y: c.Complex }> {
  const names = variablesOf(a, b);
  const integers = some(a, needsIntegers) || some(b, needsIntegers);
  const positive = some(a, needsPositive) || some(b, needsPositive);
  const complex = [a, b].some((e) => some(e, (part) => part.kind === "symbol" && part.name === "i"));
  const random = generator(0x9e3779b9);
  const one = (i: number): number => {
    if (integers) return names.length === 1 ? i + 1 : 1 + Math.floor(random() * (i % 2 === 0 ? 8 : 30));
    return (0.3 + 2.4 * random()) * (!positive && i >= 5 && random() < 0.5 ? -1 : 1);
  };
  const wanted = integers ? INTEGER_POINTS : POINTS;
  let found = 0;
  for (let i = 0; i < (integers ? 2 * INTEGER_POINTS : TRIES) && found < wanted; i++) {
    const values = new Map(names.map((name) => [name, one(i)]));
    const [x, y] = [evaluate(a, values), evaluate(b, values)];
    if (!c.isDefined(x) || !c.isDefined(y) || (!complex && !(c.isReal(x) && c.isReal(y)))) continue;
    found++;
    yield { values, x, y };
  }
}

const isZero = (e: Expression): boolean => e.kind === "number" && exactValue(e)?.n === 0n;
const needsIntegers = (e: Expression): boolean =>
  (e.kind === "call" && ["floor", "ceil", "factorial", "binomial", "mod", "gcd", "lcm"].includes(e.name)) ||
  e.kind === "big" ||
  (e.kind === "operation" && e.op === "power" && e.args[0].kind === "operation" && e.args[0].op === "negate");
const needsPositive = (e: Expression): boolean =>
  (e.kind === "call" && (e.name === "log" || e.name === "ln")) ||
  (e.kind === "operation" && e.op === "power" && (e.args[1].kind !== "number" || e.args[1].value.d !== 1n));

/** Numbers in [0, 1), the same for the same seed (a 32-bit xorshift). */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
