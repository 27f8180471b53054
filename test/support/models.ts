// Tiny models, batches and losses that the model tests share.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Batch, Model, type ModelOptions, type Qwen2Config, type TokenGradients, type TokenScores } from "../../ts/model.ts";
import { Random } from "./random.ts";
import { type RecordedTensor, readSafetensors } from "./safetensors.ts";

export const FIXTURES = join(import.meta.dirname, "..", "fixtures");
export const FIXTURE_NAMES = ["qwen2_tied", "qwen2_untied", "qwen2_yarn", "llama_llama3", "llama_bias"] as const;

/** What test/fixtures/record_models.py wrote for one model. */
export interface Recording {
  rows: number[][];
  promptLengths: number[];
  adamw: { lr: number; betas: [number, number]; eps: number; weightDecay: number; gradClip: number };
  losses: number[]; // before each of ten updates and after the last
  gradNorms: number[]; // before clipping
  greedy: number[][]; // continuation of each row
  temperature: number;
  entropyCoef: number;
  tensors: Map<string, RecordedTensor>;
}

export function fixtureDir(name: string): string {
  return join(FIXTURES, name);
}

export function readRecording(name: string): Recording {
  const plain = JSON.parse(readFileSync(join(fixtureDir(name), "recorded.json"), "utf8")) as Omit<Recording, "tensors">;
  return { ...plain, tensors: readSafetensors(join(fixtureDir(name), "recorded.safetensors")) };
}

export function tensorOf(recording: Recording, name: string): Float32Array {
  const tensor = recording.tensors.get(name);
  if (!tensor) throw new Error(`the recording has no tensor ${name}`);
  return tensor.values;
}

/** Sizes that leave vector tails everywhere; two query heads per key/value head. */
export const TINY: Qwen2Config = {
  vocabSize: 37,
  hiddenSize: 24,
  intermediateSize: 44,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 10,
  ropeTheta: 10000,
  rmsNormEps: 1e-6,
  tieWordEmbeddings: false,
  maxPositionEmbeddings: 2048,
};

/**
 * A model of random weights in which everything matters: matrices of std `scale / sqrt(columns)`, norms about 1, biases about 0.2.
 * (The usual initialisation has zero biases, norms of 1 and nearly uniform logits, which hides mistakes.)
 */
export async function randomModel(config: Qwen2Config = TINY, options: ModelOptions = {}, seed = 1, scale = 1): Promise<Model> {
  const model = await Model.load(config, { device: "cpu", dtype: "float32", ...options });
  const random = new Random(seed);
  for (const name of parameterNames(model)) {
    const shape = parameterShape(model, name);
    const n = shape.reduce((a, b) => a * b, 1);
    const values = random.normals(n, shape.length === 2 ? scale / Math.sqrt(shape[1]) : 0.2);
    if (name.endsWith("norm.weight")) for (let i = 0; i < n; i++) values[i] += 1;
    await model.native.writeParameter(name, values);
  }
  return model;
}

export function pack(rows: readonly ArrayLike<number>[], promptLengths?: readonly number[]): Batch {
  const offsets = new Int32Array(rows.length + 1);
  for (let i = 0; i < rows.length; i++) offsets[i + 1] = offsets[i] + rows[i].length;
  const tokens = new Int32Array(offsets[rows.length]);
  for (let i = 0; i < rows.length; i++) tokens.set(Array.from(rows[i]), offsets[i]);
  return promptLengths ? { tokens, offsets, promptLengths: Int32Array.from(promptLengths) } : { tokens, offsets };
}

export function randomRows(random: Random, lengths: readonly number[], vocabSize: number): Int32Array[] {
  return lengths.map((n) => random.integers(n, 0, vocabSize));
}

/** The mean negative log-likelihood of the scored tokens; `normalizer` in place of their number when a batch is split. */
export function nll(scores: TokenScores, normalizer = scores.logprobs.length): { loss: number } & TokenGradients {
  let sum = 0;
  for (const logprob of scores.logprobs) sum -= logprob;
  return { loss: sum / normalizer, dLogprobs: new Float32Array(scores.logprobs.length).fill(-1 / normalizer) };
}

/** A loss with random weights on every log-prob and entropy, linear in both, so its gradients are the weights. */
export function linearLoss(scores: TokenScores, weights: Float32Array, entropyWeights: Float32Array): number {
  let loss = 0;
  for (let i = 0; i < scores.logprobs.length; i++) loss += weights[i] * scores.logprobs[i] + entropyWeights[i] * scores.entropy[i];
  return loss;
}

/** Every parameter (or its gradient) by name. */
export async function readAll(model: Model, kind: "value" | "gradient"): Promise<Map<string, Float32Array>> {
  const all = new Map<string, Float32Array>();
  for (const name of parameterNames(model)) all.set(name, await model.native.readParameter(name, kind));
  return all;
}

/** The scored tokens of row i. */
export function rowOf(scores: TokenScores, i: number): Float32Array {
  return scores.logprobs.subarray(scores.offsets[i], scores.offsets[i + 1]);
}

export function parameterNames(model: Model): string[] {
  return model.native.parameters().map(({ name }) => name);
}

export function parameterShape(model: Model, name: string): number[] {
  const parameter = model.native.parameters().find((p) => p.name === name);
  if (!parameter) throw new Error(`the model has no parameter ${name}`);
  return parameter.shape;
}
