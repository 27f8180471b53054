// What a process reward model learns from and scores: a prompt, an answer cut into steps, and labels of the answer or of its steps.

import { PrimekitError } from "../../errors.ts";
import type { ChatMessage } from "../../tokenizer/chat.ts";

export interface PrmExample {
  id: string;
  /** Messages get the tokenizer's chat template; a text is taken as it is. */
  prompt: string | ChatMessage[];
  /** The answer, cut behind each step: joined they are the whole text. At least one, none blank. */
  steps: string[];
  /** Whether the whole answer is right, 0..1. */
  label?: number;
  /** Whether the answer is right up to the end of each step, 0..1; undefined where nobody said. As long as `steps`. */
  stepLabels?: (number | undefined)[];
  /** Answers to the same prompt have the same group: what losses on pairs and groups compare. */
  group: string;
  /** The answer was cut off by a length limit: no end-of-text token follows it. */
  open?: boolean;
}

const anyBlankLine = /\n[^\S\n]*\n/;

/** How a text is cut into steps, by name ("auto": at blank lines where it has some, else at line ends). Every step keeps the separator behind it. */
export const splitRules = {
  auto: undefined,
  "blank-line": /\n[^\S\n]*\n\s*/g,
  line: /\n\s*/g,
  none: undefined,
} as const satisfies Record<string, RegExp | undefined>;

export type SplitRule = keyof typeof splitRules | RegExp;

/** Cuts a text behind every match of the rule; a blank beginning or end belongs to the step beside it. Joined, the steps are the text. */
export function splitSteps(text: string, rule: SplitRule): string[] {
  const name = rule === "auto" ? (anyBlankLine.test(text.trim()) ? "blank-line" : "line") : rule;
  const pattern = name instanceof RegExp ? name : splitRules[name];
  if (!pattern) return [text];
  const steps: string[] = [];
  let from = 0;
  for (const match of text.matchAll(new RegExp(pattern.source, pattern.flags.includes("g") ? pattern.flags : `${pattern.flags}g`))) {
    const end = match.index + match[0].length;
    if (match[0].length === 0 || text.slice(from, end).trim() === "") continue;
    steps.push(text.slice(from, end));
    from = end;
  }
  const rest = text.slice(from);
  if (rest.trim() === "" && steps.length > 0) steps[steps.length - 1] += rest;
  else steps.push(rest);
  return steps;
}

/**
 * Steps of a known text: each is looked up after the one before, with nothing but white space between, which goes to the earlier one.
 * Throws ERR_DATA, naming the step, when they are not the text; `where` begins the sentence.
 */
export function alignSteps(text: string, steps: readonly string[], where: string): string[] {
  let at = 0;
  const starts = steps.map((step, k) => {
    const start = text.indexOf(step.trim(), at);
    if (start < 0 || text.slice(at, start).trim() !== "")
      throw new PrimekitError(
        "ERR_DATA",
        `${where}: step ${k + 1} (${shown(step)}) does not come next in the response; the steps must make up the whole text.`,
      );
    at = start + step.trim().length;
    return start;
  });
  const rest = text.slice(at);
  if (rest.trim() !== "") throw new PrimekitError("ERR_DATA", `${where}: the response goes on after the last step with ${shown(rest)}.`);
  return starts.map((start, k) => text.slice(k === 0 ? 0 : start, starts[k + 1] ?? text.length));
}

/** Joins bare steps with `separator` between them; it goes to the earlier one. Steps that end in white space already are left as they are. */
export function joinSteps(steps: readonly string[], separator: string): string[] {
  return steps.map((step, k) => (k === steps.length - 1 || /\s$/.test(step) ? step : step + separator));
}

/** Throws ERR_DATA for what no model can learn from or score: no steps, a blank step, labels that do not fit. */
export function checkExample(example: PrmExample, where: string): PrmExample {
  const { steps, label, stepLabels } = example;
  const refuse = (problem: string): never => {
    throw new PrimekitError("ERR_DATA", `${where}: ${problem}.`);
  };
  if (steps.length === 0) refuse("the answer has no steps");
  const blank = steps.findIndex((step) => step.trim() === "");
  if (blank >= 0) refuse(`step ${blank + 1} of ${steps.length} is empty`);
  if (stepLabels && stepLabels.length !== steps.length) refuse(`there are ${stepLabels.length} labels for ${steps.length} steps`);
  for (const value of [label, ...(stepLabels ?? [])]) {
    if (value !== undefined && !(value >= 0 && value <= 1)) refuse(`a label must be a number from 0 to 1, but is ${value}`);
  }
  return example;
}

// --- internal ---

function shown(text: string): string {
  const flat = text.trim();
  return JSON.stringify(flat.length > 50 ? `${flat.slice(0, 50)}…` : flat);
}
