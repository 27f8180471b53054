// Model: a Qwen2 or Llama language model in native memory: log-probs, gradients, AdamW, generation, HF directories.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { withSignal } from "./abort.ts";
import { PrimekitError, typeError } from "./errors.ts";
import {
  checkBatch,
  checkGenerateOptions,
  checkGradients,
  checkModelOptions,
  checkPrompts,
  checkStepOptions,
  checkTemperature,
  toSeed,
  toSequences,
} from "./model_checks.ts";
import { type CompleteConfig, completeConfig, eosIdsOf, fromHuggingFace, type ModelConfig, toNativeConfig } from "./model_config.ts";
import { readModelJson } from "./model_dir.ts";
import { findTensors, loadOptimizerFile, loadWeights, saveOptimizerFile, storedType } from "./model_files.ts";
import { type GenerateOptions, nativeGenerateOptions, progressOf, type Rollout, rolloutsOf } from "./model_generate.ts";
import { pack, scoredOffsets } from "./model_rows.ts";
import { type ModelOrigin, type SaveOptions, saveModel } from "./model_save.ts";
import { native } from "./native/addon.ts";
import { chooseDevice } from "./native/device.ts";
import type { NativeModel } from "./native/types.ts";

export { type ModelCard, makeModelCard } from "./model_card.ts";
export { checkTokenizerFits } from "./model_checks.ts";
export type { ModelConfig, Qwen2Config } from "./model_config.ts";
export type { GenerateOptions, Rollout } from "./model_generate.ts";
export type { RopeScaling } from "./model_rope.ts";
export { pack, scoredOffsets } from "./model_rows.ts";
export type { SaveOptions } from "./model_save.ts";
export { chooseDevice, hasGpu } from "./native/device.ts";

/** Packed sequences, prompt + response each. Row i is tokens[offsets[i] .. offsets[i+1]). */
export interface Batch {
  tokens: Int32Array; // [N]
  offsets: Int32Array; // [B+1]
  /** Tokens of each row that are context only. Default 1 each: every token but the first is scored. */
  promptLengths?: Int32Array; // [B], each >= 1 unless the row is empty
}

/** Results are packed over the scored tokens: row i has max(0, length_i - promptLengths[i]) of them. */
export interface TokenScores {
  logprobs: Float32Array; // [R]
  entropy: Float32Array; // [R]
  offsets: Int32Array; // [B+1] into the scored tokens
}

export interface ForwardOptions {
  temperature?: number; // default 1
  signal?: AbortSignal;
}

export interface TokenGradients {
  dLogprobs: Float32Array; // [R]
  dEntropy?: Float32Array; // [R]
}

export interface StepOptions {
  lr: number;
  betas?: [number, number]; // default [0.9, 0.999]
  eps?: number; // default 1e-8
  weightDecay?: number; // default 0; decoupled; matrices only, never norms or biases
  gradClip?: number; // global norm; 0 = off; default 1
}

export interface ModelOptions {
  /** Default "auto": the GPU when this build has the CUDA backend and the driver sees one, otherwise the CPU. */
  device?: "auto" | "cpu" | "cuda";
  dtype?: "float32" | "bfloat16"; // compute type; the masters of a trainable model are float32
  trainable?: boolean; // default true: gradients and optimizer state on first use. A frozen bfloat16 model takes 2 bytes per weight
  recompute?: boolean; // recompute activations in the backward pass
  /**
   * What AdamW's moments are kept in, default float32. bfloat16 halves them; they are rounded by chance, right on average, with draws counted by step
   * and weight: a run repeats and resumes bit for bit all the same.
   */
  moments?: "float32" | "bfloat16";
  seed?: number | bigint; // of random weights
}

/**
 * A Qwen2 or Llama language model. Calls are asynchronous and run in order on the process's one compute thread.
 * Native memory is freed by close() (or `using`), never by the garbage collector alone.
 */
export class Model {
  readonly config: CompleteConfig;
  /** The native object, for tests and tools (gradients, logits); undefined behaviour is impossible, surprises are not. */
  readonly native: NativeModel;
  readonly device: "cpu" | "cuda";
  readonly dtype: "float32" | "bfloat16";
  readonly trainable: boolean;
  #options: ModelOptions;
  #origin: ModelOrigin;
  #turn: Promise<unknown> = Promise.resolve(); // the last call that uses or drops the activations kept between forward and backward

  private constructor(config: ModelConfig, options: ModelOptions, origin: ModelOrigin = {}) {
    this.config = completeConfig(config);
    this.dtype = options.dtype ?? "float32";
    this.trainable = options.trainable ?? true;
    this.#options = options;
    this.#origin = origin;
    this.device = chooseDevice(options.device ?? "auto");
    const { recompute = false, moments = "float32" } = options;
    const settings = { device: this.device, dtype: this.dtype, recompute, trainable: this.trainable, moments };
    this.native = native().createModel(toNativeConfig(this.config), settings);
  }

  /**
   * Loads an HF directory (config.json, safetensors in one file or shards), or makes a model with random weights from a configuration.
   * Throws ERR_UNSUPPORTED naming what the model asks for, ERR_CONFIG or ERR_MODEL_FORMAT for a broken folder, ERR_IO.
   */
  static async load(source: string | ModelConfig, options: ModelOptions = {}): Promise<Model> {
    checkModelOptions(options);
    if (typeof source !== "string") {
      const model = new Model(source, options);
      await model.native.initialize(toSeed(options.seed ?? 0, "seed"), model.config.initializerRange);
      return model;
    }
    const origin: ModelOrigin = { config: await readModelJson(source, "config.json") };
    const config = fromHuggingFace(origin.config ?? {}, join(source, "config.json"));
    if (existsSync(join(source, "generation_config.json"))) {
      origin.generation = await readModelJson(source, "generation_config.json");
      const ends = eosIdsOf(origin.generation, join(source, "generation_config.json"));
      if (ends && (ends.length > 1 || config.eosTokenIds || ends[0] !== config.eosTokenId)) config.eosTokenIds = ends; // as transformers: these count
    }
    const tensors = await findTensors(source);
    origin.dtype = DTYPES[storedType(tensors)];
    const model = new Model(config, options, origin);
    try {
      await loadWeights(model.native, source, tensors, config.tieWordEmbeddings);
    } catch (error) {
      model.close();
      throw error;
    }
    return model;
  }

  /** Number of weights (a tied head counts once). */
  get numParameters(): number {
    return this.native.parameters().reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  }

  /** Log-probabilities (nats) of the scored tokens given what precedes them, and the entropy of each prediction; [R] each. */
  async logprobs(batch: Batch, options: ForwardOptions = {}): Promise<TokenScores> {
    const checked = checkBatch(batch);
    return this.#inTurn(() => this.#forward(checked, options, false));
  }

  /**
   * Forward, then `loss` (called once, on the JavaScript thread, with the scores), then backward with what it returns.
   * Gradients accumulate until step(). An aborted call clears the accumulated gradients.
   */
  async forwardBackward(batch: Batch, loss: (scores: TokenScores) => TokenGradients, options: ForwardOptions = {}): Promise<TokenScores> {
    this.#requireTrainable();
    if (typeof loss !== "function") throw typeError("loss", "a function from scores to their gradients", loss);
    const checked = checkBatch(batch);
    return this.#inTurn(async () => {
      const scores = await this.#forward(checked, options, true);
      const { dLogprobs, dEntropy } = checkGradients(loss(scores), scores.logprobs.length);
      await withSignal(options.signal, (cancel) => this.native.backward(dLogprobs, dEntropy, cancel));
      return scores;
    });
  }

  /** One AdamW step on the accumulated gradients, which are zeroed. `skipped`: the gradient norm was not finite and nothing changed. */
  async step(options: StepOptions): Promise<{ gradNorm: number; skipped: boolean }> {
    this.#requireTrainable();
    const { lr, betas, eps, weightDecay, gradClip } = checkStepOptions(options);
    return this.#inTurn(() => this.native.step(lr, betas[0], betas[1], eps, weightDecay, gradClip));
  }

  /** Samples `samples` continuations of every prompt; prompt-major order. See GenerateOptions for the random streams. */
  async generate(prompts: readonly ArrayLike<number>[], options: GenerateOptions): Promise<Rollout[]> {
    checkPrompts(prompts, this.config.vocabSize);
    checkGenerateOptions(options, this.config.vocabSize);
    const { samples = 1, signal } = options;
    const { tokens, offsets } = pack(prompts);
    const first = toSeed(options.firstSequence ?? 0, "firstSequence");
    const count = prompts.length * samples;
    const ids = options.sequences
      ? toSequences(options.sequences, count)
      : BigUint64Array.from({ length: count }, (_, i) => BigInt.asUintN(64, first + BigInt(i)));
    const settings = nativeGenerateOptions(this.config, options);
    const result = await withSignal(signal, (cancel, progress) => this.native.generate(tokens, offsets, ids, settings, cancel, progress), progressOf(options));
    return rolloutsOf(result, samples);
  }

  /** A second model with the same weights (no gradients, no optimizer state). */
  async clone(options: { trainable?: boolean } = {}): Promise<Model> {
    const copy = new Model(this.config, { ...this.#options, ...options }, this.#origin);
    await copy.native.copyFrom(this.native);
    return copy;
  }

  /** Takes over another model's weights (same configuration); optimizer state stays. */
  async copyFrom(other: Model): Promise<void> {
    if (!(other instanceof Model)) throw typeError("other", "a Model", other);
    await this.#inTurn(() => this.native.copyFrom(other.native));
  }

  /**
   * Writes a complete HF directory: config.json, generation_config.json, safetensors (in shards above `maxShardBytes`), the tokenizer's files from
   * `tokenizerDir`, and a model card where one is given. A loaded model is written in the type and with the settings that it came with.
   */
  async save(dir: string, options: SaveOptions = {}): Promise<void> {
    await saveModel(this.native, this.config, this.#origin, dir, options);
  }

  /**
   * Writes AdamW's moments, in the type they are kept in, and the step count, exactly. Not into a model's directory: other programs take every safetensors
   * file there for weights.
   */
  async saveOptimizer(file: string): Promise<void> {
    await saveOptimizerFile(this.native, file, this.#options.moments ?? "float32");
  }

  /** Takes over what saveOptimizer() wrote, exactly; bfloat16 moments become float32 as they are, float32 ones are rounded to the nearest bfloat16. */
  async loadOptimizer(file: string): Promise<void> {
    this.#requireTrainable();
    await loadOptimizerFile(this.native, file);
  }

  /** Forgets AdamW's moments and step count: the next step is a first one, as when one stage of training follows another. */
  async resetOptimizer(): Promise<void> {
    this.#requireTrainable();
    await this.native.resetOptimizer();
  }

  /**
   * Gives back all of the GPU's memory that the model holds: weights, moments and gradients move to pinned memory of the host (kept until close()), the
   * rest, a forward kept for its backward too, is dropped. The next call that needs the model brings it back, bit for bit, or restore() does so ahead.
   * On the CPU, where the model is in the host's memory anyway, nothing happens.
   */
  async offload(): Promise<void> {
    await this.#inTurn(() => this.native.offload());
  }

  /** Brings back what offload() moved. Throws ERR_OUT_OF_MEMORY when the GPU has no room; the model stays offloaded then. */
  async restore(): Promise<void> {
    await this.#inTurn(() => this.native.restore());
  }

  /**
   * Gives back the GPU's memory of activations, KV cache and gradients that are zero, before work of another kind: a generation and a training step need
   * not have room beside each other. A forward kept for its backward is dropped. On the CPU nothing happens.
   */
  async trim(): Promise<void> {
    await this.#inTurn(() => this.native.trim());
  }

  /** Frees the native memory once running calls have ended. May be called again. */
  close(): void {
    this.native.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // --- internal ---

  async #forward({ tokens, offsets, promptLengths }: Required<Batch>, options: ForwardOptions, keep: boolean): Promise<TokenScores> {
    const { temperature = 1, signal } = options;
    checkTemperature(temperature);
    const scores = await withSignal(signal, (cancel) => this.native.forward(tokens, offsets, promptLengths, temperature, keep, cancel));
    return { ...scores, offsets: scoredOffsets(offsets, promptLengths) };
  }

  // Another call between a forward and its backward would replace the activations the backward needs.
  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(call);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  #requireTrainable(): void {
    if (!this.trainable) throw new PrimekitError("ERR_STATE", "This model was loaded with trainable: false, so it has no gradients and takes no steps.");
  }
}

// --- internal ---

const DTYPES = { F32: "float32", BF16: "bfloat16", F16: "float16" } as const;
