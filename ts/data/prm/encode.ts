// An example as tokens: the prompt with its chat marks, the answer, and the last token of every step.

import { PrimekitError } from "../../errors.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import type { PrmExample } from "./example.ts";
import { tokenEnds } from "./token_ends.ts";

export interface EncodedExample {
  prompt: Int32Array; // [P] context, never scored
  response: Int32Array; // [T] the answer, and the end-of-text token behind it
  /** Positions [S] in `response` of the last token of each step; rising. The end-of-text token belongs to the last step. */
  stepEnds: Int32Array;
  /** Where each token of the response ends in its text, in characters [T]; the end-of-text token adds none. */
  textEnds: Int32Array;
  /** The answer was cut to fit; steps that lost tokens are gone, or stop where the answer does. */
  truncated: boolean;
}

/** How a prompt that is a text becomes tokens: as it is, as a user's message, or ("auto") as it is if it has chat marks in it or the tokenizer knows no chat. */
export const promptFormats = ["auto", "text", "chat"] as const;
export type PromptFormat = (typeof promptFormats)[number];

export interface EncodeOptions {
  promptFormat?: PromptFormat; // default "auto"
  maxLength?: number; // tokens of prompt and answer; default no limit
  /** An over-long conversation is an error, unless its answer may be cut. */
  truncate?: boolean;
}

/**
 * Encodes prompt and answer apart, as in generation. A step's last token is the last one that ends before the next step's text begins, so that a
 * token which reaches over the boundary is the next step's. Throws ERR_DATA, naming the example, for over-long conversations (unless `truncate`),
 * for a step without a token of its own, and for a prompt without tokens.
 */
export function encodeExample(tokenizer: Tokenizer, example: PrmExample, options: EncodeOptions = {}): EncodedExample {
  const prompt = tokenizer.encode(promptText(tokenizer, example, options.promptFormat ?? "auto"));
  if (prompt.length === 0) throw new PrimekitError("ERR_DATA", `${example.id}: the prompt has no tokens; it needs at least one.`);
  const { ids, ends } = endsOf(tokenizer, example);
  const isClosed = example.open || ids[ids.length - 1] === tokenizer.eosId;
  const response = isClosed ? ids : Int32Array.from([...ids, tokenizer.eosId]);
  const textEnds = isClosed ? ends : Int32Array.from([...ends, ends[ends.length - 1]]);
  const stepEnds = boundaries(example, ends);
  stepEnds[stepEnds.length - 1] = response.length - 1;
  const { maxLength = Number.POSITIVE_INFINITY, truncate = false } = options;
  const excess = prompt.length + response.length - maxLength;
  if (excess <= 0) return { prompt, response, stepEnds, textEnds, truncated: false };
  if (!truncate || maxLength - prompt.length < 1) throw tooLong(example, prompt.length, response.length, maxLength);
  return cut({ prompt, response, stepEnds, textEnds, truncated: true }, maxLength - prompt.length);
}

// --- internal ---

function endsOf(tokenizer: Tokenizer, { id, steps }: PrmExample): ReturnType<typeof tokenEnds> {
  try {
    return tokenEnds(tokenizer, steps.join(""));
  } catch (cause) {
    throw cause instanceof PrimekitError ? new PrimekitError(cause.code, `${id}: ${cause.message}`, { cause }) : cause;
  }
}

function promptText(tokenizer: Tokenizer, { prompt }: PrmExample, format: PromptFormat): string {
  if (typeof prompt !== "string") return tokenizer.chat(prompt, { addGenerationPrompt: true });
  const asMessage = format === "chat" || (format === "auto" && tokenizer.hasChatTemplate && !tokenizer.encode(prompt).some((id) => tokenizer.isSpecial(id)));
  return asMessage ? tokenizer.chat([{ role: "user", content: prompt }], { addGenerationPrompt: true }) : prompt;
}

/** For every step the last token whose text ends at or before the step's end. `ends` [T] are where tokens end, in characters. */
function boundaries({ id, steps }: PrmExample, ends: Int32Array): Int32Array {
  let end = 0;
  let token = -1;
  return Int32Array.from(steps, (step, k) => {
    end += step.length;
    const before = token;
    while (token + 1 < ends.length && ends[token + 1] <= end) token++;
    if (token === before) throw new PrimekitError("ERR_DATA", `${id}: step ${k + 1} has no token of its own; it shares its only one with the step behind it.`);
    return token;
  });
}

/** The first `room` tokens of the answer. The beginning of a step that the cut goes through still counts as one. */
function cut({ response, stepEnds, textEnds, ...rest }: EncodedExample, room: number): EncodedExample {
  const kept = stepEnds.filter((end) => end < room);
  const goesThrough = kept.length === 0 || kept[kept.length - 1] < room - 1;
  const ends = goesThrough ? Int32Array.from([...kept, room - 1]) : kept;
  return { ...rest, response: response.slice(0, room), stepEnds: ends, textEnds: textEnds.slice(0, room) };
}

function tooLong({ id }: PrmExample, prompt: number, response: number, limit: number): PrimekitError {
  const advice = prompt >= limit ? "the prompt alone leaves no room for an answer" : "allow more, or ask for answers to be cut with truncate";
  return new PrimekitError("ERR_DATA", `${id}: prompt and answer have ${prompt} + ${response} tokens, but the limit is ${limit}; ${advice}.`);
}
