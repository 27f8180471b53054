// Units, percent and degrees: when one may be left out, and when two differ.
import { type Context, type Decision, decide } from "./decision.ts";
import { exactValue } from "./exact.ts";
import { type Expression, operation, variablesOf } from "./expression.ts";
import { compare, negate, ONE } from "./rational.ts";

type Compare = (gold: Expression, answer: Expression, context: Context) => Decision;

/**
 * At least one side is a quantity. A unit on one side only may be left out; two units must be the same one.
 *
 * Percent: p % is the number p/100, so 28 % equals 0.28 and 28 % equals 28 %. A question often asks for percents, so a sign on one
 * side only may also be a unit left out: a reference of 28 % takes 28, and a reference of 28 (at least 1 in size) takes 28 %.
 * Nothing else is scaled: neither 0.28 nor 2800 equals 28, and 0.5 does not equal 0.5 %.
 *
 * Degrees: 45° equals 45 and the angle pi/4.
 */
export function compareQuantities(gold: Expression, answer: Expression, context: Context, compareValues: Compare): Decision {
  const [a, b] = [split(gold), split(answer)];
  if (a.unit !== undefined && b.unit !== undefined) {
    const [u, v] = [canonicalUnit(a.unit), canonicalUnit(b.unit)];
    return u === v ? compareValues(a.value, b.value, context) : decide(false, "structure", `the unit is ${v}, not ${u}`);
  }
  const unit = (a.unit ?? b.unit) as string;
  const bare = compareValues(a.value, b.value, context);
  if (unit !== "%" && unit !== "°") return bare;
  const size = b.unit === "%" ? exactValue(a.value) : undefined;
  const tooSmall = size !== undefined && compare(size.n < 0n ? negate(size) : size, ONE) < 0;
  if (bare.equal !== false && !tooSmall) return bare;
  return compareValues(a.unit ? scaled(a) : a.value, b.unit ? scaled(b) : b.value, context);
}

export const isQuantity = (e: Expression): boolean => split(e).unit !== undefined;

/** "15 m" for the reference 15: a single letter after the number is taken as a unit where the reference is a plain number. */
export function withoutLetterUnit(gold: Expression, answer: Expression): Expression {
  if (answer.kind !== "operation" || answer.op !== "multiply" || variablesOf(gold).length > 0) return answer;
  const last = answer.args[answer.args.length - 1];
  const unit = last.kind === "operation" && last.op === "power" && last.args[1].kind === "number" ? last.args[0] : last;
  if (unit.kind !== "symbol" || !/^[msgNJWVAKCLh]$/.test(unit.name)) return answer;
  const rest = answer.args.slice(0, -1);
  return rest.length === 1 ? rest[0] : { ...answer, args: rest };
}

// --- internal ---

function split(e: Expression): { value: Expression; unit: string | undefined } {
  if (e.kind === "quantity") return { value: e.value, unit: e.unit };
  if (e.kind === "operation" && (e.op === "negate" || e.op === "add" || e.op === "ratio")) {
    const last = split(e.args[e.args.length - 1]); // -5 cm; a sum or a time has its unit at the end
    if (last.unit === undefined || last.unit === "%")
      return e.op === "negate" && last.unit ? { value: operation("negate", last.value), unit: last.unit } : { value: e, unit: undefined };
    return { value: { ...e, args: [...e.args.slice(0, -1), last.value] }, unit: last.unit };
  }
  return { value: e, unit: undefined };
}

/** p % as p / 100, and degrees as radians. */
function scaled({ value, unit }: { value: Expression; unit: string | undefined }): Expression {
  const whole = (n: bigint): Expression => ({ kind: "number", value: { n, d: 1n }, decimal: false });
  return unit === "%"
    ? operation("divide", value, whole(100n))
    : operation("divide", operation("multiply", value, { kind: "symbol", name: "pi" }), whole(180n));
}

/** One word for a unit: "Meters", "metre" and "m" are "m"; plural endings fall away. */
function canonicalUnit(unit: string): string {
  const words = unit
    .toLowerCase()
    .replace(/\bper\b/g, "/")
    .replace(/\bsquare[d]?\b|\bsq\b\.?/g, "^2")
    .replace(/\bcub(?:ic|ed)\b/g, "^3")
    .split(/([\s/^.·]+)/)
    .map((word) => SAME[word] ?? SAME[word.replace(/e?s$/, "")] ?? word.replace(/s$/, ""));
  const powers = words
    .filter((word) => /\^|^[23]$/.test(word))
    .join("")
    .replace(/[\s^]/g, "");
  return `${words
    .filter((word) => /[a-z%°/]/.test(word))
    .join("")
    .replace(/[\s^]/g, "")}${powers}`;
}

const NAMES: Record<string, string> = {
  m: "meter metre",
  cm: "centimeter centimetre",
  mm: "millimeter millimetre",
  km: "kilometer kilometre",
  kg: "kilogram",
  g: "gram gm",
  s: "second sec",
  min: "minute",
  h: "hour hr",
  ft: "foot feet",
  in: "inch inche",
  mi: "mile",
  yd: "yard",
  "°": "degree deg",
  dollar: "usd buck",
  l: "liter litre",
  ml: "milliliter millilitre",
};
const SAME: Record<string, string> = Object.fromEntries(
  Object.entries(NAMES).flatMap(([unit, words]) => [[unit, unit], ...words.split(" ").map((word) => [word, unit])]),
);
