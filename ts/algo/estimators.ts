// Advantage estimators, chosen by name from one table. Each turns outcome rewards and, where used, process rewards into one advantage per token.

import { primeAdvantages } from "../kernels.ts";
import { atLastToken, discountedReturns, groupMoments, rowMeans, whiten } from "./returns.ts";

export interface AdvantageOptions {
  gammaProcess: number;
  gammaOutcome: number;
  processCoef: number;
  outcomeCoef: number;
  baseline: "leave-one-out" | "released";
  normalizeProcess: "none" | "batch" | "std";
  whiten: boolean;
}

export interface AdvantageInput {
  outcome: Float32Array; // [B] one score per row
  offsets: Int32Array; // [B+1]
  groupSize: number; // G; rows of a group are consecutive
  /** Absent: outcome only. */
  process?: ProcessRewards;
}

export interface ProcessRewards {
  rewards: Float32Array; // [N] r_t
  values: Float32Array; // [N] the PRM's probability of success after token t: sigmoid of the running sum of r
}

export type Estimator = (input: AdvantageInput, o: AdvantageOptions) => Float32Array; /* [N] */

/** Leave-one-out advantages of both sources, summed (Eq. 5 of the paper; the kernel). Without process rewards this is RLOO. */
export function leaveOneOut({ outcome, offsets, groupSize, process }: AdvantageInput, o: AdvantageOptions): Float32Array {
  const { gammaProcess, gammaOutcome, processCoef, outcomeCoef, baseline } = o;
  const normalizeProcess = o.normalizeProcess === "batch" ? "batch" : "none"; // "std" was applied to the rewards
  const rewards = { processRewards: process?.rewards, outcomeRewards: outcome, offsets, groupSize };
  return primeAdvantages({ ...rewards, gammaProcess, gammaOutcome, processCoef, outcomeCoef, baseline, normalizeProcess, whiten: o.whiten }).advantages;
}

/** Plain discounted returns without a group baseline. */
export function reinforce({ outcome, offsets, process }: AdvantageInput, o: AdvantageOptions): Float32Array {
  const total = outcomeReturns(outcome, offsets, o);
  if (process) addScaled(total, discountedReturns(process.rewards, offsets, o.gammaProcess), o.processCoef);
  return finish(total, o);
}

/** Rewards standardised inside the group: (x - mean) / deviation, for process rewards with the moments of the rows' token means. Groups without spread give 0. */
export function grpo({ outcome, offsets, groupSize, process }: AdvantageInput, o: AdvantageOptions): Float32Array {
  const moments = groupMoments(outcome, groupSize);
  const total = outcomeReturns(
    outcome.map((x, row) => standardise(x, moments, Math.floor(row / groupSize))),
    offsets,
    o,
  );
  if (process) addScaled(total, discountedReturns(standardisedTokens(process.rewards, offsets, groupSize), offsets, o.gammaProcess), o.processCoef);
  return finish(total, o);
}

/**
 * PPO-style returns: the implicit PRM as the value function. With V_t the probability of success after token t (V before the first token 1/2, after the last 0),
 * the reward of token t is V_t - V_(t-1), at the last token outcome - V_(t-1); the advantage is its discounted reverse sum (GAE, gamma 1, lambda = gammaProcess).
 */
export function implicitValue({ outcome, offsets, process }: AdvantageInput, o: AdvantageOptions): Float32Array {
  if (!process) return finish(outcomeReturns(outcome, offsets, o), o);
  const errors = new Float64Array(process.values.length);
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let t = offsets[row]; t < offsets[row + 1]; t++) {
      const before = t === offsets[row] ? 0.5 : process.values[t - 1];
      errors[t] = (t === offsets[row + 1] - 1 ? o.outcomeCoef * outcome[row] : process.values[t]) - before;
    }
  }
  return finish(discountedReturns(errors, offsets, o.gammaProcess), o);
}

/** The table of algorithms: what they estimate advantages with, and whether they use process rewards at all (no PRM is created otherwise). */
export const algorithms = {
  prime: { advantages: leaveOneOut, process: true, summary: "RLOO with implicit process rewards (the paper)" },
  rloo: { advantages: leaveOneOut, process: false, summary: "leave-one-out on the outcome alone" },
  reinforce: { advantages: reinforce, process: false, summary: "returns without a group baseline" },
  "prime-reinforce": { advantages: reinforce, process: true, summary: "REINFORCE with process rewards" },
  grpo: { advantages: grpo, process: false, summary: "outcome standardised in the group" },
  "prime-grpo": { advantages: grpo, process: true, summary: "GRPO with process rewards" },
  "prime-ppo": { advantages: implicitValue, process: true, summary: "generalised advantages with the implicit PRM as value function" },
} as const satisfies Record<string, { advantages: Estimator; process: boolean; summary: string }>;

export type Algorithm = keyof typeof algorithms;

// --- internal ---

function outcomeReturns(outcome: Float32Array, offsets: Int32Array, o: AdvantageOptions): Float64Array {
  return discountedReturns(atLastToken(outcome, offsets), offsets, o.gammaOutcome).map((x) => o.outcomeCoef * x);
}

function standardise(x: number, { mean, deviation }: { mean: Float64Array; deviation: Float64Array }, group: number): number {
  return deviation[group] > 1e-12 ? (x - mean[group]) / deviation[group] : 0;
}

function standardisedTokens(rewards: Float32Array, offsets: Int32Array, groupSize: number): Float64Array {
  const moments = groupMoments(rowMeans(rewards, offsets), groupSize);
  const tokens = new Float64Array(rewards.length);
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let t = offsets[row]; t < offsets[row + 1]; t++) tokens[t] = standardise(rewards[t], moments, Math.floor(row / groupSize));
  }
  return tokens;
}

function addScaled(total: Float64Array, values: Float64Array, scale: number): void {
  for (let t = 0; t < total.length; t++) total[t] += scale * values[t];
}

function finish(total: Float64Array, o: AdvantageOptions): Float32Array {
  return Float32Array.from(o.whiten ? whiten(total) : total);
}
