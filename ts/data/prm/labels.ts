// Labels as data sets spell them.

import { PrimekitError } from "../../errors.ts";

const WORDS: Record<string, number> = { "+": 1, "-": 0, true: 1, false: 0, correct: 1, wrong: 0, incorrect: 0, right: 1, good: 1, bad: 0, "1": 1, "0": 0 };

/** A label as a number in 0..1: true/false, a number from 0 to 1, "+", "-", "correct", "wrong", …. Throws ERR_DATA for any other; `where` begins the sentence. */
export function readLabel(value: unknown, where: string): number {
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "bigint") return readLabel(Number(value), where);
  if (typeof value === "number" && value >= 0 && value <= 1) return value;
  const word = typeof value === "string" ? WORDS[value.trim().toLowerCase()] : undefined;
  if (word !== undefined) return word;
  throw new PrimekitError("ERR_DATA", `${where}: ${shown(value)} is no label; labels are true/false, numbers from 0 to 1, "+"/"-" or "correct"/"wrong".`);
}

/** The same for one label per step, where null and undefined mean that nobody said. */
export function readStepLabels(values: unknown, where: string): (number | undefined)[] {
  if (!Array.isArray(values)) throw new PrimekitError("ERR_DATA", `${where}: labels must be a list, one for each step, but is ${shown(values)}.`);
  return values.map((value, k) => (value === null || value === undefined ? undefined : readLabel(value, `${where}, step ${k + 1}`)));
}

/** Labels "right in itself" become "right so far": a step after a wrong one counts as wrong, as the answer went astray there. */
export function rightSoFar(labels: readonly (number | undefined)[]): (number | undefined)[] {
  const first = labels.findIndex((label) => label !== undefined && label < 0.5);
  return labels.map((label, k) => (first < 0 || k < first ? label : k === first ? label : 0));
}

// --- internal ---

function shown(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : value === undefined ? "nothing" : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
