// Bounds on what is judged inside this process, so that every step here ends in milliseconds whatever a model wrote.

/** Longest answer or reference that is read, in characters. */
export const MAX_ANSWER = 4_000;
/** Deepest nesting of brackets, fractions and exponents. */
export const MAX_DEPTH = 60;
/** Most items of a list, set or matrix. */
export const MAX_ITEMS = 100;
/** Most steps of comparing one pair. */
export const MAX_STEPS = 20_000;

/** No judgement was reached: something is too large, too deep or undefined. The message ends the sentence "It cannot be judged: …". */
export class MathLimit extends Error {}

/** The text is not a formula this parser knows; it is then compared as text. */
export class NotMath extends Error {}
