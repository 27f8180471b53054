// Problems of the built-in task and the worked demonstrations for them, slips included.
import { Draws } from "./random.ts";

export type Operation = "+" | "-" | "*";
const DIGITS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** `first op1 operand1 op2 operand2 …`, worked from left to right; a product only comes first, so that this is also the usual precedence. */
export interface Expression {
  first: number;
  steps: readonly { operation: Operation; operand: number }[]; // one per level
}

export interface ProblemRanges {
  minSteps: number;
  maxSteps: number;
  starts: readonly [number, number]; // the first number, unless a product comes first
  operands: readonly [number, number]; // what is added and subtracted
  factors: readonly [number, number]; // of products
  operations: readonly Operation[];
}

export function expressionText({ first, steps }: Expression): string {
  return first + steps.map(({ operation, operand }) => operation + operand).join("");
}

/** The expression in a prompt (or any text); undefined when there is none. */
export function parseExpression(text: string): Expression | undefined {
  const match = /\d+(?:[+*-]\d+)+/.exec(text);
  if (!match) return undefined;
  const steps = Array.from(match[0].matchAll(/([+*-])(\d+)/g), (step) => ({ operation: step[1] as Operation, operand: Number(step[2]) }));
  return { first: Number.parseInt(match[0], 10), steps };
}

export function apply(a: number, operation: Operation, b: number): number {
  return operation === "+" ? a + b : operation === "-" ? a - b : a * b;
}

export function evaluate({ first, steps }: Expression): number {
  return steps.reduce((value, { operation, operand }) => apply(value, operation, operand), first);
}

/** A random expression whose intermediate values are never negative; undefined when the draw ran into a dead end. */
export function drawExpression(draws: Draws, ranges: ProblemRanges): Expression | undefined {
  const level = draws.integer(ranges.minSteps, ranges.maxSteps);
  const sums = ranges.operations.filter((operation) => operation !== "*");
  const product = sums.length === 0 || (ranges.operations.includes("*") && draws.chance(1 / ranges.operations.length));
  const first = draws.integer(...(product ? ranges.factors : ranges.starts));
  const steps: { operation: Operation; operand: number }[] = product ? [{ operation: "*", operand: draws.integer(...ranges.factors) }] : [];
  let value = evaluate({ first, steps });
  while (steps.length < level) {
    const possible = value >= ranges.operands[0] ? sums : sums.filter((operation) => operation === "+");
    if (possible.length === 0) return undefined;
    const operation = draws.pick(possible);
    const operand = draws.integer(ranges.operands[0], operation === "-" ? Math.min(ranges.operands[1], value) : ranges.operands[1]);
    steps.push({ operation, operand });
    value = apply(value, operation, operand);
  }
  return { first, steps };
}

/**
 * The slip a learner typically makes in a step, where one is possible: a forgotten carry (47+85=122), the smaller digit taken from the larger
 * (51-37=26), a product from the row above (7*8=48). Slips of different kinds seldom cancel, so a slip makes the answer wrong.
 */
export function slipOf(a: number, operation: Operation, b: number): number | undefined {
  if (operation === "*") return a > 0 && b > 0 ? (a - 1) * b : undefined;
  if (a < 0) return undefined;
  if (operation === "+") return (a % 10) + (b % 10) >= 10 ? a + b - 10 : undefined;
  return a >= b && a % 10 < b % 10 ? a - b + 2 * ((b % 10) - (a % 10)) : undefined;
}

/** How often the author of the demonstrations slips, where a slip is possible. */
export interface SlipRates {
  slipRate: number; // by carelessness, anywhere
  habitRate: number; // where the wrong way has become a habit
  /** The places (see slipPlace) with that habit. */
  habits: ReadonlySet<string>;
}

/** What a habit hangs on, as with a pupil who keeps forgetting the carry when adding 8: the operation and the operand's last digit. */
export function slipPlace(operation: Operation, operand: number): string {
  return `${operation}${operand % 10}`;
}

/** Places with a habit, the same for one seed: per operation a random set of digits at which `share` of its possible slips happen. */
export function drawHabits(seed: number, stream: number, share: number): Set<string> {
  const habits = new Set<string>();
  for (const [index, operation] of (["+", "-", "*"] as const).entries()) {
    // a digit d causes a carry or a borrow in d of 10 cases; a product can always go wrong, its factors start at 2
    const weights = DIGITS.map((digit) => (operation !== "*" ? digit : digit >= 2 ? 1 : 0));
    const total = weights.reduce((a, b) => a + b);
    const subsets = Array.from({ length: 1 << DIGITS.length }, (_, bits) => DIGITS.filter((digit) => bits & (1 << digit) && weights[digit] > 0));
    const distance = (digits: number[]) => Math.abs(digits.reduce((sum, digit) => sum + weights[digit], 0) / total - share);
    const nearest = Math.min(...subsets.map(distance));
    const chosen = new Draws(seed, stream, index).pick(subsets.filter((digits) => distance(digits) <= nearest + 1e-9));
    for (const digit of chosen) habits.add(slipPlace(operation, digit));
  }
  return habits;
}

/** The worked steps, one line each, and the boxed answer. After a slip the work goes on consistently from the wrong value. */
export function demonstrate({ first, steps }: Expression, draws: Draws, rates: SlipRates): string {
  let value = first;
  let text = "";
  for (const { operation, operand } of steps) {
    const slip = slipOf(value, operation, operand);
    const rate = rates.habits.has(slipPlace(operation, operand)) ? rates.habitRate : rates.slipRate;
    const result = slip !== undefined && draws.chance(rate) ? slip : apply(value, operation, operand);
    text += `[ADVANCE] ${value}${operation}${operand}=${result}\n`;
    value = result;
  }
  return `${text}[OUTPUT] \\boxed{${value}}`;
}
