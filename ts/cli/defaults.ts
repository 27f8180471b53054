// What `train` does with no options: where it differs from the trainers' own defaults. Chosen by experiment on two cores.
import type { Options } from "./flags.ts";

export const jobDefaults = {
  seed: 1,
  model: { hiddenSize: 128, intermediateSize: 384, numHiddenLayers: 4, numAttentionHeads: 4, numKeyValueHeads: 2, initializerRange: 0.08 },
  // Demonstrations with a bad habit: with certain digits added, which make up half of all carries, the carry is mostly forgotten.
  task: { minSteps: 4, maxSteps: 7, operations: "+", slipRate: 0.1, habitShare: 0.5, habitRate: 0.7 },
  sft: { steps: 500, batchSize: 64, lr: 3e-3, beta2: 0.95, evalEvery: 0 },
  steps: 40,
  evalEvery: 10,
  maxNewTokens: 100,
  lr: 2e-4,
  prmBeta: 1,
  prmEpochs: 2,
  prmMinibatches: 4,
  prmWarmupSteps: 3,
  processClip: 0.5,
} as const satisfies Options;

/** The same for data of one's own: the paper's run where it does not hang on its size (256 prompts a step, answers of 3,072 tokens). */
export const dataDefaults = {
  seed: 1,
  model: {},
  task: {},
  sft: { lr: 1e-5, batchSize: 32, decay: "cosine" },
  lr: 5e-7,
  prmLr: 1e-6,
  maxNewTokens: 512,
  evalEvery: 20,
} as const satisfies Options;
