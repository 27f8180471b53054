// Records of published data sets as PrmExamples, by name. A mapping names its own columns; everything it cannot read is an ERR_DATA with file and line.

import { PrimekitError } from "../../errors.ts";
import type { ChatMessage } from "../../tokenizer/chat.ts";
import { alignSteps, checkExample, joinSteps, type PrmExample, type SplitRule, splitSteps } from "./example.ts";
import { readLabel, readStepLabels, rightSoFar } from "./labels.ts";

export type PrmRecord = Record<string, unknown>;

export interface PrmMappingOptions {
  split: SplitRule; // cuts a response that comes without steps
  separator: string; // put between steps that come without white space behind them
}

/** One record as examples (a pair is two of them). `where` is file and line, for errors and as the id of rows without one. */
export type PrmMapping = (record: PrmRecord, where: string, options: PrmMappingOptions) => PrmExample[];

/** The published formats. "auto" looks at the columns. */
export const prmMappings = {
  auto: (record, where, options) => detect(record, where)(record, where, options),
  /** prompt | messages | question, with response and/or steps, label and/or labels (right so far); or chosen and rejected. */
  plain: (record, where, options) => ("chosen" in record ? plainPair(record, where, options) : [plainExample(record, where, options)]),
  /**
   * EurusPRM's data: the whole conversation (user, assistant) in `response` and the answer's `label`, 1 or 0, as the card of stage 1 says; stage 2 has no
   * card, so its labels of steps are taken from `label` (a list), `labels` or `step_labels`, and a conversation from `conversation`, too.
   */
  eurusprm: (record, where, options) => [eurusExample(record, where, options)],
  /** Math-Shepherd: `input` has the question and the steps with "ки" behind each, `label` the same text with + or - in its place. */
  "math-shepherd": (record, where, options) => [shepherdExample(record, where, options)],
  /** PRM800K: `question.problem`, and for each step in `label.steps` its completions rated 1, 0 or -1. */
  prm800k: (record, where, options) => [prm800kExample(record, where, options)],
  /** TRL's stepwise form: `prompt`, `completions` (the steps) and `labels`. */
  trl: (record, where, options) => [trlExample(record, where, options)],
} as const satisfies Record<string, PrmMapping>;

export type PrmMappingName = keyof typeof prmMappings;

// --- internal ---

function detect(record: PrmRecord, where: string): PrmMapping {
  if ("completions" in record) return prmMappings.trl;
  if (typeof record.input === "string" && typeof record.label === "string") return prmMappings["math-shepherd"];
  if (isObject(record.question) && isObject(record.label)) return prmMappings.prm800k;
  if (Array.isArray(record.response) || Array.isArray(record.conversation)) return prmMappings.eurusprm;
  if (["response", "steps", "chosen"].some((column) => column in record)) return prmMappings.plain;
  return refuse(where, `the columns ${Object.keys(record).join(", ")} are not known; there should be a prompt, a response or steps, and a label or labels`);
}

function plainExample(record: PrmRecord, where: string, options: PrmMappingOptions): PrmExample {
  const steps = stepsOf(record, where, options);
  const outcome = record.label ?? record.correct ?? rolloutScore(record);
  const isList = Array.isArray(outcome);
  const labels = record.labels ?? (isList ? outcome : undefined);
  return finish(record, where, {
    prompt: promptOf(record, where),
    steps,
    ...(outcome !== undefined && outcome !== null && !isList ? { label: readLabel(outcome, where) } : {}),
    ...(labels === undefined || labels === null ? {} : { stepLabels: readStepLabels(labels, where) }),
    ...(record.truncated === true ? { open: true } : {}),
  });
}

/** A run's rollout files have the verifier's judgement as `score`; without a verdict nobody knows. */
function rolloutScore({ score, outcome }: PrmRecord): unknown {
  return outcome === "timeout" || outcome === "error" ? undefined : score;
}

function plainPair(record: PrmRecord, where: string, options: PrmMappingOptions): PrmExample[] {
  const half = (side: "chosen" | "rejected", label: number): PrmExample => {
    const messages = Array.isArray(record[side]) ? messagesOf(record[side], where) : undefined; // whole conversations, as in some preference data
    const response = messages ? messages[messages.length - 1].content : text(record, side, where);
    const prompt = record.prompt === undefined && messages ? messages.slice(0, -1) : promptOf(record, where);
    const example = finish(record, where, { prompt, steps: splitSteps(response, options.split), label });
    return { ...example, id: `${example.id}:${side}` };
  };
  return [half("chosen", 1), half("rejected", 0)];
}

function eurusExample(record: PrmRecord, where: string, options: PrmMappingOptions): PrmExample {
  const messages = messagesOf(record.response ?? record.conversation, where);
  const answer = messages[messages.length - 1];
  if (answer.role !== "assistant") return refuse(where, `the conversation must end with the assistant, but ends with ${answer.role}`);
  const steps = splitSteps(answer.content, options.split);
  const labels = record.labels ?? record.step_labels ?? (Array.isArray(record.label) ? record.label : undefined);
  const outcome = labels === record.label ? record.correctness : (record.label ?? record.correctness);
  return finish(record, where, {
    prompt: messages.slice(0, -1),
    steps,
    ...(outcome === undefined || outcome === null ? {} : { label: readLabel(outcome, where) }),
    ...(labels === undefined ? {} : { stepLabels: rightSoFar(readStepLabels(labels, where)) }),
  });
}

function shepherdExample(record: PrmRecord, where: string, options: PrmMappingOptions): PrmExample {
  const [input, label] = [text(record, "input", where), text(record, "label", where)];
  const first = /\bStep 1\s*:/.exec(input);
  if (!first) return refuse(where, 'the input has no "Step 1:", so question and answer cannot be told apart');
  const steps = pieces(input.slice(first.index), "ки");
  const signs = steps.map((_, k) => label.slice(first.index).match(/[+-](?=\s*(?:\n|$))/g)?.[k]);
  const stepLabels = rightSoFar(readStepLabels(signs, where));
  return finish(record, where, {
    prompt: [{ role: "user", content: input.slice(0, first.index).trim() }],
    steps: joinSteps(steps, options.separator),
    stepLabels,
  });
}

function prm800kExample(record: PrmRecord, where: string, options: PrmMappingOptions): PrmExample {
  const [question, label] = [record.question as PrmRecord, record.label as PrmRecord];
  if (!Array.isArray(label.steps)) return refuse(where, "label.steps must be a list");
  const chosen = (label.steps as PrmRecord[]).flatMap((step, k) => {
    const completions = (Array.isArray(step.completions) ? step.completions : []) as PrmRecord[];
    const index = Number(step.chosen_completion ?? 0); // null where the solution ends here, or a person wrote the step
    const picked = step.chosen_completion === null && isObject(step.human_completion) ? { ...step.human_completion, rating: 1 } : completions[index];
    return picked ? [{ text: text(picked, "text", `${where}, step ${k + 1}`), rating: picked.rating }] : [];
  });
  const ratings = chosen.map(({ rating }, k) => ratingLabel(rating, `${where}, step ${k + 1}`));
  return finish(record, where, {
    prompt: [{ role: "user", content: text(question, "problem", where) }],
    steps: joinSteps(
      chosen.map((step) => step.text.trim()),
      options.separator,
    ),
    stepLabels: rightSoFar(ratings),
  });
}

function trlExample(record: PrmRecord, where: string, options: PrmMappingOptions): PrmExample {
  if (!Array.isArray(record.completions)) return refuse(where, "completions must be a list of steps");
  return finish(record, where, {
    prompt: promptOf(record, where),
    steps: joinSteps(record.completions.map(String), options.separator),
    stepLabels: rightSoFar(readStepLabels(record.labels, where)),
  });
}

/** PRM800K rates 1 right, 0 neither helpful nor wrong (counted as right, as its authors do), -1 wrong. */
function ratingLabel(rating: unknown, where: string): number | undefined {
  if (rating === null || rating === undefined) return undefined;
  const value = Number(rating);
  if (![-1, 0, 1].includes(value)) return refuse(where, `the rating ${JSON.stringify(rating)} is none of -1, 0 and 1`);
  return value < 0 ? 0 : 1;
}

function finish(record: PrmRecord, where: string, example: Omit<PrmExample, "id" | "group">): PrmExample {
  const id = record.id ?? record.idx;
  const group = record.group ?? JSON.stringify(example.prompt);
  return checkExample({ id: id === undefined || id === null ? where : String(id), ...example, group: String(group) }, where);
}

function stepsOf(record: PrmRecord, where: string, { split, separator }: PrmMappingOptions): string[] {
  const { steps, response } = record;
  if (steps === undefined || steps === null) return splitSteps(text(record, "response", where), split);
  if (!Array.isArray(steps)) return refuse(where, "steps must be a list of texts");
  const blank = steps.findIndex((step) => typeof step !== "string" || step.trim() === "");
  if (blank >= 0) return refuse(where, `step ${blank + 1} of ${steps.length} is empty`);
  return typeof response === "string" ? alignSteps(response, steps as string[], where) : joinSteps(steps as string[], separator);
}

function promptOf(record: PrmRecord, where: string): string | ChatMessage[] {
  const { prompt, messages } = record;
  if (Array.isArray(messages ?? prompt)) return messagesOf(messages ?? prompt, where);
  if (typeof prompt === "string" && prompt !== "") return prompt;
  for (const column of ["question", "problem", "instruction"]) {
    if (typeof record[column] === "string") return [{ role: "user", content: record[column] }];
  }
  return refuse(where, "there is no prompt (a text, or a list of messages) and no question");
}

function messagesOf(value: unknown, where: string): ChatMessage[] {
  const ok = Array.isArray(value) && value.length > 0 && value.every((message) => typeof message?.role === "string" && typeof message?.content === "string");
  return ok ? value.map(({ role, content }) => ({ role, content })) : refuse(where, "a conversation must be a list of messages with role and content");
}

function text(record: PrmRecord, column: string, where: string): string {
  const value = record[column];
  return typeof value === "string" ? value : refuse(where, `${column} must be a text`);
}

function pieces(textWithMarks: string, mark: string): string[] {
  return textWithMarks
    .split(mark)
    .map((piece) => piece.trim())
    .filter((piece) => piece !== "");
}

function isObject(value: unknown): value is PrmRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(where: string, problem: string): never {
  throw new PrimekitError("ERR_DATA", `${where}: ${problem}.`);
}
