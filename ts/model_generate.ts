// What generation takes and gives: its options as the addon wants them, its results as rollouts.
import { typeError } from "./errors.ts";
import { toSeed } from "./model_checks.ts";
import type { CompleteConfig } from "./model_config.ts";
import type { NativeGenerateOptions, NativeRollouts } from "./native/types.ts";

export interface GenerateOptions {
  samples?: number; // G per prompt, default 1
  maxNewTokens: number;
  temperature?: number; // default 1; 0 = greedy
  topP?: number; // default 1
  topK?: number; // default 0 = off
  stop?: { tokens?: readonly number[]; strings?: readonly string[]; tokenBytes?: (id: number) => Uint8Array };
  seed?: number | bigint;
  /** Counter of the first sequence; sequence of prompt p, sample g draws from stream firstSequence + p*G + g. */
  firstSequence?: number | bigint;
  /** Instead of firstSequence: the stream of every sequence [P*G], prompt-major. */
  sequences?: readonly (number | bigint)[];
  maxBatch?: number; // decoding slots, default 256
  onProgress?: (done: number, total: number) => void; // finished sequences
  /** Every token as soon as it is drawn, the stop token included; sequence is p*G + g. An error it throws stops the generation. */
  onToken?: (token: number, sequence: number) => void;
  signal?: AbortSignal;
}

export interface Rollout {
  prompt: number; // index into prompts
  sample: number; // 0..G-1
  tokens: Int32Array; // generated tokens, with the stop token when one ended it
  logprobs: Float32Array; // of the full distribution at `temperature` (1 when greedy)
  finishReason: "stop" | "length";
}

/** The options for the addon; stop tokens that are not given are the model's own. */
export function nativeGenerateOptions(config: CompleteConfig, options: GenerateOptions): NativeGenerateOptions {
  const { samples = 1, maxNewTokens, temperature = 1, topP = 1, topK = 0, stop = {}, seed = 0, maxBatch = 256 } = options;
  const stopTokens = stop.tokens ?? config.eosTokenIds ?? (config.eosTokenId === undefined ? [] : [config.eosTokenId]);
  return {
    samples,
    maxNewTokens,
    temperature,
    topP,
    topK,
    seed: toSeed(seed, "seed"),
    maxBatch,
    stopTokens: Int32Array.from(stopTokens),
    streamTokens: options.onToken !== undefined,
    ...stopStrings(stop, config.vocabSize),
  };
}

/** What the addon generated, prompt-major. */
export function rolloutsOf({ tokens, logprobs, offsets, finished }: NativeRollouts, samples: number): Rollout[] {
  return Array.from(finished, (stopped, i) => ({
    prompt: Math.floor(i / samples),
    sample: i % samples,
    tokens: tokens.slice(offsets[i], offsets[i + 1]),
    logprobs: logprobs.slice(offsets[i], offsets[i + 1]),
    finishReason: stopped ? "stop" : "length",
  }));
}

/** Sorts what native generation reports: finished sequences, and (sequence, -1 - token). */
export function progressOf({ onProgress, onToken }: GenerateOptions): ((done: number, total: number) => void) | undefined {
  if (!onToken) return onProgress;
  return (done, total) => (total < 0 ? onToken(-1 - total, done) : onProgress?.(done, total));
}

// --- internal ---

function stopStrings({ strings = [], tokenBytes }: NonNullable<GenerateOptions["stop"]>, vocabSize: number): Partial<NativeGenerateOptions> {
  if (strings.length === 0 || !tokenBytes) return {};
  const [stopBytes, stopOffsets] = packBytes(strings.map((text) => new TextEncoder().encode(text)));
  const [bytes, offsets] = packBytes(Array.from({ length: vocabSize }, (_, id) => checkBytes(tokenBytes(id), id)));
  return { stopBytes, stopOffsets, tokenBytes: bytes, tokenOffsets: offsets };
}

function checkBytes(bytes: Uint8Array, id: number): Uint8Array {
  if (!(bytes instanceof Uint8Array)) throw typeError(`The result of stop.tokenBytes(${id})`, "a Uint8Array", bytes);
  return bytes;
}

function packBytes(items: readonly Uint8Array[]): [Uint8Array, Int32Array] {
  const offsets = new Int32Array(items.length + 1);
  items.forEach((item, i) => {
    offsets[i + 1] = offsets[i] + item.length;
  });
  const bytes = new Uint8Array(offsets[items.length]);
  items.forEach((item, i) => {
    bytes.set(item, offsets[i]);
  });
  return [bytes, offsets];
}
