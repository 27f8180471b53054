// Bounds on what is judged inside this process, so that every step here ends in milliseconds whatever a model wrote.

/** Longest answer or reference that is read, in characters. */
export const MAX_ANSWER = 4_000;
/** Deepest nesting of brackets, fractions and exponents. */
export const MAX_DEPTH = 60;
/** Most items of a list, set or matrix. */
export const MAX_ITEMS = 100;
/** No judgement was reached: something is too large, too deep or undefined. The message ends the sentence "It cannot be judged: …". */
export class MathLimit extends Error {}

/** The text is not a formula this parser knows; it is then compared as text. */
export class NotMath extends Error {}

/** Counts the work on one answer from 0 again. Judging is synchronous, so one counter serves. */
export function startWork(): void {
  spent = 0;
}

/** Counts work, in steps of about a third of a microsecond; throws MathLimit when one answer has had its share. */
export function spend(steps: number): void {
  spent += steps;
  if (spent > MAX_WORK) throw new MathLimit("it takes too much work");
}

// --- internal ---

const MAX_WORK = 1_000_000;
let spent = 0;
