// From the PRM's log-ratios to the process rewards the policy is trained on: clipping, scale, weight.

import { implicitRewards, primeAdvantages } from "../kernels.ts";
import type { ProcessRewards } from "./estimators.ts";

export interface ProcessRewardOptions {
  prmBeta: number;
  processClip: number; // |r_t| at most this; 0 = off
  normalizeProcess: "none" | "batch" | "std";
  gammaProcess: number;
  baseline: "leave-one-out" | "released";
  samplesPerPrompt: number; // G
}

/** r_t = beta * (log phi - log ref), clipped, scaled; and the PRM's probability of success after each token. `scores` [B] is the unclipped sum of each row. */
export function processRewards(
  prm: Float32Array,
  reference: Float32Array,
  offsets: Int32Array,
  o: ProcessRewardOptions,
): ProcessRewards & { scores: Float32Array } {
  const { rewards, q, scores } = implicitRewards(prm, reference, offsets, { beta: o.prmBeta });
  const values = q.map((x) => 1 / (1 + Math.exp(-x)));
  const clipped = o.processClip > 0 ? rewards.map((r) => Math.min(o.processClip, Math.max(-o.processClip, r))) : rewards;
  const scaled = o.normalizeProcess === "std" ? byReturnSize(clipped, offsets, o) : clipped;
  return { rewards: scaled, values, scores };
}

/** How much the process rewards count: named functions of the PRM's running accuracy within groups (1/2 = chance). */
export const processWeights = {
  constant: () => 1,
  accuracy: (pairAccuracy: number) => Math.min(1, Math.max(0, 2 * pairAccuracy - 1)),
} as const satisfies Record<string, (pairAccuracy: number) => number>;

export type ProcessWeight = keyof typeof processWeights;

// --- internal ---

/**
 * Divides rewards by the root mean square of their baseline-free returns over the batch's tokens, so that processCoef is the ratio to those returns' size.
 * Unlike "batch", one outlier row does not set the scale. All-zero rewards stay zero; groups of one have no baseline and keep their rewards.
 */
function byReturnSize(rewards: Float32Array, offsets: Int32Array, { gammaProcess, baseline, samplesPerPrompt }: ProcessRewardOptions): Float32Array {
  if (samplesPerPrompt < 2) return rewards;
  const { returns } = primeAdvantages({ processRewards: rewards, offsets, groupSize: samplesPerPrompt, gammaProcess, baseline, whiten: false });
  const square = returns.reduce((sum, x) => sum + x * x, 0) / Math.max(1, returns.length);
  const scale = 1 / (Math.sqrt(square) + 1e-6);
  return rewards.map((r) => r * scale);
}
