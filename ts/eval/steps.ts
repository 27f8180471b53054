// Steps of an answer: where they end, what the process rewards say of them, and whether the task agrees.

import type { Task } from "../data/task.ts";
import type { Problem } from "../data/types.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/**
 * Positions of the last token of each step: the last token of every line, and the last token of the answer. Rising, without doubles. Blank lines belong to
 * the step before them, or to the first.
 */
export function stepEnds(tokenizer: Pick<Tokenizer, "tokenBytes">, tokens: Int32Array): number[] {
  const ends: number[] = [];
  let blank = true; // the line under way, so far
  tokens.forEach((token, t) => {
    const bytes = tokenizer.tokenBytes(token);
    blank &&= bytes.length > 0 && bytes.every((byte) => SPACES.includes(byte)); // the end of text has no bytes
    const isLast = t === tokens.length - 1;
    if (!isLast && !bytes.includes(NEWLINE)) return;
    if (!blank || (isLast && ends.length === 0)) ends.push(t);
    else if (ends.length > 0) ends[ends.length - 1] = t;
    blank = true;
  });
  return ends;
}

/** Whether the task finds each step right, given what it starts from. Undefined where the task does not judge it. */
export function stepVerdicts(task: Pick<Task, "checkSteps">, problem: Problem, text: string, steps: number): (boolean | undefined)[] {
  const checks = (task.checkSteps?.(problem, text) ?? []).filter((check) => check.line.trim() !== "");
  return Array.from({ length: steps }, (_, i) => checks[i]?.correct);
}

/** The steps of one answer. */
export interface JudgedSteps {
  rewards: readonly number[];
  correct: readonly (boolean | undefined)[];
}

/**
 * How well process rewards point at errors: the share of pairs of a right and a wrong step of the same answer in which the right one has the higher reward
 * (ties half), mean over the answers that have both. 1/2 is chance. Undefined without such answers.
 */
export function stepAccuracy(answers: readonly JudgedSteps[]): number | undefined {
  let sum = 0;
  let counted = 0;
  for (const { rewards, correct } of answers) {
    const right = rewards.filter((_, i) => correct[i] === true);
    const wrong = rewards.filter((_, i) => correct[i] === false);
    if (right.length === 0 || wrong.length === 0) continue;
    const ordered = right.flatMap((a) => wrong.map((b) => (a === b ? 0.5 : Number(a > b))));
    sum += ordered.reduce((total, x) => total + x, 0) / ordered.length;
    counted++;
  }
  return counted === 0 ? undefined : sum / counted;
}

// --- internal ---

const NEWLINE = 0x0a;
const SPACES = [0x20, 0x09, 0x0d, NEWLINE];
