// Text in, text out: prompts or conversations to answers, also piece by piece as they are written.
import { PrimekitError } from "../errors.ts";
import type { GenerateOptions, Model, Rollout } from "../model.ts";
import type { ChatMessage } from "../tokenizer/chat.ts";
import { StopFilter } from "../tokenizer/stop_filter.ts";
import { StreamDecoder } from "../tokenizer/stream.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { endTokens } from "./sample.ts";

export interface TextOptions extends Omit<GenerateOptions, "stop" | "onToken"> {
  /** Texts at which an answer ends; they are not part of it. It also ends at the end-of-text tokens of tokenizer and model. */
  stop?: readonly string[];
  /** The answer's text as it grows, piece by piece, whole characters only; sequence is p*G + g. */
  onText?: (piece: string, sequence: number) => void;
}

export interface TextAnswer extends Rollout {
  text: string; // without special tokens and stop string
}

/** Answers to prompts of token ids (see promptIds), prompt-major. Throws what Model.generate throws. */
export async function generateText(model: Model, tokenizer: Tokenizer, prompts: readonly Int32Array[], options: TextOptions): Promise<TextAnswer[]> {
  const { stop: strings = [], onText, ...rest } = options;
  const stop = { tokens: endTokens(tokenizer, model.config), strings, tokenBytes: (id: number) => tokenizer.tokenBytes(id) };
  const streams = new Map<number, TextStream>();
  const onToken = (token: number, sequence: number) => {
    let stream = streams.get(sequence);
    if (!stream) {
      stream = new TextStream(tokenizer, strings);
      streams.set(sequence, stream);
    }
    show(stream.push(token), sequence);
  };
  const show = (piece: string, sequence: number) => piece !== "" && onText?.(piece, sequence);
  const rollouts = await model.generate(prompts, { ...rest, stop, ...(onText ? { onToken } : {}) });
  for (const [sequence, stream] of streams) show(stream.end(), sequence);
  return rollouts.map((rollout) => {
    const stream = new TextStream(tokenizer, strings);
    return { ...rollout, text: Array.from(rollout.tokens, (id) => stream.push(id)).join("") + stream.end() };
  });
}

/**
 * Token ids of what a model continues: a conversation through the chat template, or plain text as it is, with the tokenizer's begin-of-text token.
 * Throws ERR_DATA when that has no tokens, ERR_TOKENIZER when the template fails.
 */
export function promptIds(tokenizer: Tokenizer, prompt: string | readonly ChatMessage[]): Int32Array {
  const ids =
    typeof prompt === "string"
      ? Int32Array.from([...tokenizer.startIds, ...tokenizer.encode(prompt)])
      : tokenizer.encode(tokenizer.chat(prompt, { addGenerationPrompt: true }));
  if (ids.length === 0) throw new PrimekitError("ERR_DATA", "The prompt has no tokens; a prompt needs at least one.");
  return ids;
}

// --- internal ---

/** The text of one answer's tokens as they come. */
class TextStream {
  readonly #decoder: StreamDecoder;
  readonly #filter: StopFilter;

  constructor(tokenizer: Tokenizer, stop: readonly string[]) {
    this.#decoder = new StreamDecoder(tokenizer, { skipSpecialTokens: true });
    this.#filter = new StopFilter(stop);
  }

  push(id: number): string {
    return this.#filter.push(this.#decoder.push(id));
  }

  end(): string {
    return this.#filter.push(this.#decoder.end()) + this.#filter.end();
  }
}
