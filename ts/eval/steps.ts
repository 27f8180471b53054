// Steps of an answer: where they end, what the process rewards say of them, and whether the task agrees.

import type { Task } from "../data/task.ts";
import type { Problem } from "../data/types.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** Positions of the last token of each step: the last token of every run of line ends, and the last token of the answer. Rising, without doubles. */
export function stepEnds(tokenizer: Pick<Tokenizer, "tokenBytes">, tokens: Int32Array): number[] {
  const newline = 0x0a;
  const ends: number[] = [];
  tokens.forEach((token, t) => {
    const bytes = tokenizer.tokenBytes(token);
    const blank = bytes.length > 0 && bytes.every((byte) => byte === newline);
    if (blank && ends.at(-1) === t - 1) ends[ends.length - 1] = t;
    else if (t === tokens.length - 1 || bytes.includes(newline)) ends.push(t);
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
