// What `train` does with no options: where it differs from the trainers' own defaults. Chosen by experiment on two cores.
import type { Options } from "./flags.ts";

export const jobDefaults = {
  seed: 1,
  model: { hiddenSize: 256, intermediateSize: 768, numHiddenLayers: 6, numAttentionHeads: 4, numKeyValueHeads: 2 },
  task: {},
  sft: { steps: 300, batchSize: 64, evalEvery: 0 },
  steps: 60,
} as const satisfies Options;
