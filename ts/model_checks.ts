// Checks of what callers pass to Model: kind and range, named. What only memory safety needs is checked natively again.
import { PrimekitError, rangeError, typeError } from "./errors.ts";
import type { Batch, GenerateOptions, ModelOptions, StepOptions, TokenGradients } from "./model.ts";

export function checkModelOptions({ device, dtype, moments }: ModelOptions): void {
  if (device !== undefined && !["auto", "cpu", "cuda"].includes(device)) throw rangeError("device", '"auto", "cpu" or "cuda"', device);
  if (dtype !== undefined && !["float32", "bfloat16"].includes(dtype)) throw rangeError("dtype", '"float32" or "bfloat16"', dtype);
  if (moments !== undefined && !["float32", "bfloat16"].includes(moments)) throw rangeError("moments", '"float32" or "bfloat16"', moments);
}

/** A copy of the batch (so that it may change after the call) with its prompt lengths filled in. */
export function checkBatch(batch: Batch): Required<Batch> {
  if (typeof batch !== "object" || batch === null) throw typeError("batch", "an object with tokens and offsets", batch);
  const { tokens, offsets, promptLengths } = batch;
  if (!(tokens instanceof Int32Array)) throw typeError("batch.tokens", "an Int32Array", tokens);
  if (!(offsets instanceof Int32Array)) throw typeError("batch.offsets", "an Int32Array", offsets);
  if (promptLengths !== undefined && !(promptLengths instanceof Int32Array)) throw typeError("batch.promptLengths", "an Int32Array", promptLengths);
  return { tokens: tokens.slice(), offsets: offsets.slice(), promptLengths: promptLengths?.slice() ?? new Int32Array(Math.max(0, offsets.length - 1)).fill(1) };
}

export function checkTemperature(temperature: number): void {
  if (typeof temperature !== "number") throw typeError("temperature", "a number", temperature);
  if (!(temperature > 0 && Number.isFinite(temperature))) throw rangeError("temperature", "a finite number above 0", temperature);
}

/** What a loss callback returned, for `scored` tokens. */
export function checkGradients(gradients: TokenGradients, scored: number): TokenGradients {
  if (typeof gradients !== "object" || gradients === null) throw typeError("The result of loss()", "an object with dLogprobs", gradients);
  const { dLogprobs, dEntropy } = gradients;
  if (!(dLogprobs instanceof Float32Array)) throw typeError("The dLogprobs of loss()", "a Float32Array", dLogprobs);
  if (dEntropy !== undefined && !(dEntropy instanceof Float32Array)) throw typeError("The dEntropy of loss()", "a Float32Array", dEntropy);
  if (dLogprobs.length !== scored) throw rangeError("The dLogprobs of loss()", `of ${scored} elements (the scored tokens)`, dLogprobs);
  if (dEntropy && dEntropy.length !== scored) throw rangeError("The dEntropy of loss()", `of ${scored} elements (the scored tokens)`, dEntropy);
  return { dLogprobs, dEntropy };
}

/** The options with defaults filled in. */
export function checkStepOptions(options: StepOptions): Required<StepOptions> {
  if (typeof options !== "object" || options === null) throw typeError("options", "an object with lr", options);
  const { lr, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, gradClip = 1 } = options;
  if (!Array.isArray(betas) || betas.length !== 2) throw typeError("betas", "an array of two numbers", betas);
  for (const [name, value] of Object.entries({ lr, "betas[0]": betas[0], "betas[1]": betas[1], eps, weightDecay, gradClip })) {
    if (typeof value !== "number") throw typeError(name, "a number", value);
    if (!(Number.isFinite(value) && value >= 0)) throw rangeError(name, "a finite number of at least 0", value);
    if (name.startsWith("betas") && value >= 1) throw rangeError(name, "below 1", value);
  }
  return { lr, betas, eps, weightDecay, gradClip };
}

/** Prompts are arrays of whole token ids, none empty. */
export function checkPrompts(prompts: readonly ArrayLike<number>[], vocabSize: number): void {
  if (!Array.isArray(prompts)) throw typeError("prompts", "an array of arrays of token ids", prompts);
  prompts.forEach((prompt: unknown, p) => {
    if (!Array.isArray(prompt) && !ArrayBuffer.isView(prompt)) throw typeError(`prompts[${p}]`, "an array of token ids", prompt);
    const row = prompt as unknown as ArrayLike<number>;
    if (!(row.length > 0)) throw rangeError(`prompts[${p}]`, "at least one token long", prompt);
    for (let t = 0; t < row.length; t++) checkToken(row[t], vocabSize, `prompts[${p}][${t}]`);
  });
}

export function checkGenerateOptions(options: GenerateOptions, vocabSize: number): void {
  if (typeof options !== "object" || options === null) throw typeError("options", "an object with maxNewTokens", options);
  const { samples = 1, maxNewTokens, stop = {}, onProgress, onToken } = options;
  if (!Number.isInteger(samples) || samples < 1) throw rangeError("samples", "a positive integer", samples);
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1) throw rangeError("maxNewTokens", "a positive integer", maxNewTokens);
  if (onProgress !== undefined && typeof onProgress !== "function") throw typeError("onProgress", "a function", onProgress);
  if (onToken !== undefined && typeof onToken !== "function") throw typeError("onToken", "a function", onToken);
  if (typeof stop !== "object" || stop === null) throw typeError("stop", "an object with tokens or strings", stop);
  const { tokens = [], strings = [], tokenBytes } = stop;
  if (!Array.isArray(tokens) && !ArrayBuffer.isView(tokens)) throw typeError("stop.tokens", "an array of token ids", tokens);
  tokens.forEach((token, i) => {
    checkToken(token, vocabSize, `stop.tokens[${i}]`);
  });
  if (!Array.isArray(strings)) throw typeError("stop.strings", "an array of strings", strings);
  strings.forEach((text: unknown, i) => {
    if (typeof text !== "string" || text === "") throw typeError(`stop.strings[${i}]`, "a string that is not empty", text);
  });
  if (strings.length > 0 && typeof tokenBytes !== "function")
    throw typeError("stop.tokenBytes", "a function from token id to bytes when stop.strings are given", tokenBytes);
}

/** A seed or the number of a random stream, as 64 bits. */
export function toSeed(value: number | bigint, name: string): bigint {
  if (typeof value !== "bigint" && typeof value !== "number") throw typeError(name, "a number or a bigint", value);
  if (typeof value === "bigint" ? value < 0n || value >= 1n << 64n : !Number.isSafeInteger(value) || value < 0) {
    throw rangeError(name, "an integer from 0 to 2^64 - 1 (as a number: to 2^53 - 1)", value);
  }
  return BigInt(value);
}

/** The random stream of every one of `count` sequences. */
export function toSequences(value: readonly (number | bigint)[], count: number): BigUint64Array {
  if (!Array.isArray(value)) throw typeError("sequences", "an array of numbers or bigints", value);
  if (value.length !== count) throw rangeError("sequences", `an array of ${count} elements (prompts times samples)`, value);
  return BigUint64Array.from(value, (sequence, i) => toSeed(sequence, `sequences[${i}]`));
}

/**
 * A tokenizer belongs to a model when every id it may give has a row in the embedding (which may have more rows: they are often padded).
 * Throws ERR_TOKENIZER otherwise.
 */
export function checkTokenizerFits(tokenizer: { vocabSize: number }, config: { vocabSize: number }, where = "The model"): void {
  if (tokenizer.vocabSize > config.vocabSize)
    throw new PrimekitError(
      "ERR_TOKENIZER",
      `${where} has ${config.vocabSize} tokens, but the tokenizer gives ids up to ${tokenizer.vocabSize - 1}: it was made for another model.`,
    );
}

// --- internal ---

function checkToken(token: unknown, vocabSize: number, name: string): void {
  if (!Number.isInteger(token) || (token as number) < 0 || (token as number) >= vocabSize)
    throw rangeError(name, `a token id from 0 to ${vocabSize - 1}`, token);
}
