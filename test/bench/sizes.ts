// The two reference models and what one pass of them costs.
import { Model, type Qwen2Config } from "../../ts/model.ts";
import { Random } from "../support/random.ts";

export const MODELS: Record<"tiny" | "small", Qwen2Config> = {
  tiny: { hiddenSize: 256, numHiddenLayers: 6, numAttentionHeads: 4, numKeyValueHeads: 2, intermediateSize: 768, vocabSize: 64, tieWordEmbeddings: true },
  small: { hiddenSize: 512, numHiddenLayers: 8, numAttentionHeads: 8, numKeyValueHeads: 2, intermediateSize: 1536, vocabSize: 4096, tieWordEmbeddings: true },
};

export type ModelName = keyof typeof MODELS;

export function loadModel(name: ModelName, dtype: "float32" | "bfloat16"): Promise<Model> {
  return Model.load(MODELS[name], { device: "cpu", dtype, seed: 1 });
}

/** Multiply-adds times two of one token's forward pass in all matrix products but attention's: 2 * weights. */
export function linearFlops(c: Qwen2Config): number {
  const headSize = c.hiddenSize / c.numAttentionHeads;
  const qkv = (c.numAttentionHeads + 2 * c.numKeyValueHeads) * headSize;
  const layer = c.hiddenSize * qkv + c.numAttentionHeads * headSize * c.hiddenSize + 3 * c.hiddenSize * c.intermediateSize;
  return 2 * (c.numHiddenLayers * layer + c.vocabSize * c.hiddenSize);
}

/** The same for attention's two products of one token that sees `context` others. */
export function attentionFlops(c: Qwen2Config, context: number): number {
  return 4 * c.numHiddenLayers * c.hiddenSize * context;
}

/** Forward and backward of one sequence of `length` tokens (the backward is two forwards). */
export function trainingFlops(c: Qwen2Config, length: number): number {
  return 3 * (length * linearFlops(c) + (length * attentionFlops(c, length)) / 2);
}

/** Prompt and decoding of `tokens` new tokens; `shared` samples share the prompt's computation. */
export function generationFlops(c: Qwen2Config, prompt: number, tokens: number, shared: number): number {
  const prefill = (prompt * linearFlops(c) + (prompt * attentionFlops(c, prompt)) / 2) / shared;
  return prefill + tokens * (linearFlops(c) + attentionFlops(c, prompt + tokens / 2));
}

export function randomPrompts(count: number, length: number, vocabSize: number): Int32Array[] {
  const random = new Random(1);
  return Array.from({ length: count }, () => random.integers(length, 4, vocabSize));
}
