// What Model.generate() tells the addon, and what it makes of the answer.
import { typeError } from "./errors.ts";
import type { GenerateOptions, Rollout } from "./model.ts";
import { toSeed } from "./model_checks.ts";
import type { CompleteConfig } from "./model_config.ts";
import type { NativeGenerateOptions, NativeRollouts } from "./native/types.ts";

/** The options with defaults filled in; without stop tokens of its own the model's end-of-text tokens are taken. */
export function nativeGenerateOptions(options: GenerateOptions, config: CompleteConfig): NativeGenerateOptions {
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

/** Sorts what native generation reports: finished sequences, and (sequence, -1 - token). */
export function progressOf({ onProgress, onToken }: GenerateOptions): ((done: number, total: number) => void) | undefined {
  if (!onToken) return onProgress;
  return (done, total) => (total < 0 ? onToken(-1 - total, done) : onProgress?.(done, total));
}

/** One object per sequence, prompt-major. */
export function toRollouts({ tokens, logprobs, offsets, finished }: NativeRollouts, samples: number): Rollout[] {
  return Array.from(finished, (isFinished, i) => ({
    prompt: Math.floor(i / samples),
    sample: i % samples,
    tokens: tokens.slice(offsets[i], offsets[i + 1]),
    logprobs: logprobs.slice(offsets[i], offsets[i + 1]),
    finishReason: isFinished ? ("stop" as const) : ("length" as const),
  }));
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
