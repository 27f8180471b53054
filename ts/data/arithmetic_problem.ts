// Problems of the built-in task and the worked demonstrations for them, slips included.
import { Draws } from "./random.ts";

export type Operation = "+" | "-" | "*";

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
 * The slip a learner typically makes in a step, where one is possible: a forgotten carry (47+85=122), a forgotten borrow (52-37=25),
 * a product from the row above (7*8=48).
 */
export function slipOf(a: number, operation: Operation, b: number): number | undefined {
  if (operation === "*") return a > 0 && b > 0 ? (a - 1) * b : undefined;
  if (a < 0) return undefined;
  if (operation === "+") return (a % 10) + (b % 10) >= 10 ? a + b - 10 : undefined;
  return a >= b && a % 10 < b % 10 ? a - b + 10 : undefined;
}

/** How often the author of the demonstrations slips, where a slip is possible. */
export interface SlipRates {
  slipRate: number; // by carelessness, anywhere
  habitRate: number; // where the wrong way has become a habit
  /** The digit pairs (see slipPlace) with that habit. */
  habits: ReadonlySet<string>;
}

/** What decides whether a slip is a habit: the operation and the two digits that are combined first. */
export function slipPlace(a: number, operation: Operation, b: number): string {
  return `${a % 10}${operation}${b % 10}`;
}

/** A fixed share of all digit pairs at which a slip is possible, the same for one seed; chosen per operation so that each has its share. */
export function drawHabits(seed: number, stream: number, share: number): Set<string> {
  const habits = new Set<string>();
  for (const operation of ["+", "-", "*"] as const) {
    const places: { place: string; order: number }[] = [];
    for (let pair = 0; pair < 100; pair++) {
      const a = Math.floor(pair / 10);
      const b = pair % 10;
      const possible = operation === "*" ? a > 1 && b > 1 : slipOf(a + 10, operation, b) !== undefined;
      if (possible) places.push({ place: slipPlace(a, operation, b), order: new Draws(seed, stream, pair, operation.charCodeAt(0)).next() });
    }
    places.sort((x, y) => x.order - y.order);
    for (const { place } of places.slice(0, Math.round(share * places.length))) habits.add(place);
  }
  return habits;
}

/** The worked steps, one line each, and the boxed answer. After a slip the work goes on consistently from the wrong value. */
export function demonstrate({ first, steps }: Expression, draws: Draws, rates: SlipRates): string {
  let value = first;
  let text = "";
  for (const { operation, operand } of steps) {
    const slip = slipOf(value, operation, operand);
    const rate = rates.habits.has(slipPlace(value, operation, operand)) ? rates.habitRate : rates.slipRate;
    const result = slip !== undefined && draws.chance(rate) ? slip : apply(value, operation, operand);
    text += `[ADVANCE] ${value}${operation}${operand}=${result}\n`;
    value = result;
  }
  return `${text}[OUTPUT] \\boxed{${value}}`;
}
