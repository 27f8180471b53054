// Implicit process rewards, rewards of steps, and PRIME's advantages.
import { rangeError } from "../errors.ts";
import type { Floats } from "../native/types.ts";
import { type KernelCall, type RunOptions, runLater, runNow, type WithSignal } from "./call.ts";
import {
  type Beside,
  flag,
  float32,
  groupsOf,
  type Indices,
  int32,
  kernelOptions,
  logProbs,
  numberIn,
  offsetsOf,
  oneOf,
  optionalFloat32,
  optionsOf,
  output,
  type Values,
} from "./checks.ts";
import type { DeviceArray } from "./device_array.ts";

export interface ImplicitRewardsOptions<V = Float32Array> extends RunOptions {
  beta: number; // > 0
  out?: { rewards?: V; q?: V; scores?: V };
}
export interface ImplicitRewards<V = Float32Array> {
  rewards: V; // [N] r_t = beta (log phi - log ref)
  q: V; // [N] sum of r up to and including t, within the row
  scores: V; // [B] q at the last token; 0 for an empty row
}
export interface StepRewardsOptions<V = Float32Array> extends RunOptions {
  out?: { cumulative?: V; perStep?: V };
}
export interface StepRewards<V = Float32Array> {
  cumulative: V; // [S] q at the step's end
  perStep: V; // [S] differences of those within the row
}
export interface PrimeAdvantagesOptions<V = Float32Array> extends RunOptions {
  processRewards?: V; // [N]
  outcomeRewards?: V; // [B]
  offsets: Indices; // [B+1]
  groupSize?: number; // rows per prompt, >= 2; or
  groupOffsets?: Indices; // [P+1] in rows
  gammaProcess?: number; // 0..1, default 1
  gammaOutcome?: number; // 0..1, default 1
  processCoef?: number; // default 1; 0 leaves the source out
  outcomeCoef?: number; // default 1
  baseline?: "leave-one-out" | "released";
  normalizeProcess?: "batch" | "none";
  whiten?: boolean; // default true
  out?: { advantages?: V; returns?: V };
}
export interface PrimeAdvantages<V = Float32Array> {
  advantages: V; // [N]
  returns: V; // [N] before whitening
}

const last = (offsets: Int32Array) => offsets[offsets.length - 1];

function implicitCall<A extends Floats | DeviceArray>(
  prmLogprobs: A,
  refLogprobs: A,
  offsets: Indices,
  options: ImplicitRewardsOptions<Beside<A>>,
): KernelCall<ImplicitRewards<Beside<A>>> {
  const o = kernelOptions(options, ["beta"]);
  const rows = offsetsOf("offsets", offsets);
  const prm = logProbs("prmLogprobs", prmLogprobs, last(rows));
  const ref = logProbs("refLogprobs", refLogprobs, last(rows), prm);
  const beta = numberIn("beta", o.beta, 1e-30, 1e30);
  const out = optionsOf("out", o.out ?? {}, ["rewards", "q", "scores"]);
  const result = {
    rewards: output("rewards", out.rewards, prm.length, prmLogprobs),
    q: output("q", out.q, prm.length, prmLogprobs),
    scores: output("scores", out.scores, rows.length - 1, prmLogprobs),
  };
  return {
    run: (addon, ...how) => addon.implicitRewards(result.rewards, result.q, result.scores, prm, ref, rows, beta, ...how),
    result: () => result,
    arrays: [prm, ref, rows, result.rewards, result.q, result.scores],
  };
}

function checkStepEnds(stepEnds: Int32Array, stepOffsets: Int32Array, offsets: Int32Array): void {
  for (let row = 0; row + 1 < offsets.length; row++) {
    const length = offsets[row + 1] - offsets[row];
    for (let s = stepOffsets[row]; s < stepOffsets[row + 1]; s++) {
      if (stepEnds[s] < 0 || stepEnds[s] >= length) throw rangeError(`stepEnds[${s}]`, `a position inside row ${row}, which has ${length} tokens`, stepEnds[s]);
      if (s > stepOffsets[row] && stepEnds[s] <= stepEnds[s - 1])
        throw rangeError(`stepEnds[${s}]`, `greater than the end of the step before, ${stepEnds[s - 1]}`, stepEnds[s]);
    }
  }
}

function stepCall<A extends Values>(
  q: A,
  offsets: Indices,
  stepEnds: Indices,
  stepOffsets: Indices,
  options: StepRewardsOptions<Beside<A>>,
): KernelCall<StepRewards<Beside<A>>> {
  const o = kernelOptions(options, []);
  const rows = offsetsOf("offsets", offsets);
  const sums = float32("q", q, last(rows), "the last offset");
  const ends = int32("stepEnds", stepEnds);
  const steps = offsetsOf("stepOffsets", stepOffsets, ends.length, "the number of steps");
  if (steps.length !== rows.length) throw rangeError("stepOffsets", `an Int32Array of ${rows.length} elements, like offsets`, steps);
  checkStepEnds(ends, steps, rows);
  const out = optionsOf("out", o.out ?? {}, ["cumulative", "perStep"]);
  const result = { cumulative: output("cumulative", out.cumulative, ends.length, q), perStep: output("perStep", out.perStep, ends.length, q) };
  return {
    run: (addon, ...how) => addon.stepRewards(result.cumulative, result.perStep, sums, rows, ends, steps, ...how),
    result: () => result,
    arrays: [sums, rows, ends, steps, result.cumulative, result.perStep],
  };
}

const ADVANTAGE_KEYS = [
  ...["processRewards", "outcomeRewards", "offsets", "groupSize", "groupOffsets", "gammaProcess", "gammaOutcome", "processCoef", "outcomeCoef"],
  ...["baseline", "normalizeProcess", "whiten"],
];

function advantagesCall<V extends Values>(options: PrimeAdvantagesOptions<V>): KernelCall<PrimeAdvantages<Beside<V>>> {
  const o = kernelOptions(options, ADVANTAGE_KEYS);
  const rows = offsetsOf("offsets", o.offsets);
  const tokens = last(rows);
  const groups = groupsOf(o, rows.length - 1, 2);
  const process = optionalFloat32("processRewards", o.processRewards, tokens, "the last offset");
  const outcome = optionalFloat32("outcomeRewards", o.outcomeRewards, rows.length - 1, "one per row");
  if (!process && !outcome) throw rangeError("processRewards or outcomeRewards", "given: advantages need at least one source", undefined);
  const gammas = [numberIn("gammaProcess", o.gammaProcess ?? 1, 0, 1), numberIn("gammaOutcome", o.gammaOutcome ?? 1, 0, 1)] as const;
  const coefs = [numberIn("processCoef", o.processCoef ?? 1, -1e30, 1e30), numberIn("outcomeCoef", o.outcomeCoef ?? 1, -1e30, 1e30)] as const;
  const released = oneOf("baseline", o.baseline ?? "leave-one-out", ["leave-one-out", "released"]) === "released";
  const batch = oneOf("normalizeProcess", o.normalizeProcess ?? "none", ["batch", "none"]) === "batch";
  const whiten = flag("whiten", o.whiten ?? true);
  const out = optionsOf("out", o.out ?? {}, ["advantages", "returns"]);
  const like = (process ?? outcome) as V;
  const result = { advantages: output("advantages", out.advantages, tokens, like), returns: output("returns", out.returns, tokens, like) };
  return {
    run: (addon, ...how) =>
      addon.primeAdvantages(result.advantages, result.returns, process, outcome, rows, groups, ...gammas, ...coefs, released, batch, whiten, ...how),
    result: () => result,
    arrays: [rows, groups, process, outcome, result.advantages, result.returns],
  };
}

/**
 * Implicit process rewards of packed rows (PRIME, arXiv 2502.01456, section 2): r_t = beta (log phi - log ref), their running
 * sums and row scores. Sums run in float64. Where both log-probs are the same infinity the ratio counts as 0; an infinite one
 * on one side gives an infinite reward. The last token (EOS) carries a reward like any other.
 */
export function implicitRewards<A extends Floats | DeviceArray>(
  prmLogprobs: A,
  refLogprobs: A,
  offsets: Indices,
  options: ImplicitRewardsOptions<Beside<A>>,
): ImplicitRewards<Beside<A>> {
  return runNow(implicitCall<A>, prmLogprobs, refLogprobs, offsets, options);
}
export async function implicitRewardsAsync<A extends Floats | DeviceArray>(
  prmLogprobs: A,
  refLogprobs: A,
  offsets: Indices,
  options: WithSignal<ImplicitRewardsOptions<Beside<A>>>,
): Promise<ImplicitRewards<Beside<A>>> {
  return runLater(implicitCall<A>, prmLogprobs, refLogprobs, offsets, options);
}

/** Rewards of steps: q at each step's last token (stepEnds, positions inside the row, increasing) and the differences. stepOffsets [B+1] splits the steps by row. */
export function stepRewards<A extends Values>(
  q: A,
  offsets: Indices,
  stepEnds: Indices,
  stepOffsets: Indices,
  options: StepRewardsOptions<Beside<A>> = {},
): StepRewards<Beside<A>> {
  return runNow(stepCall<A>, q, offsets, stepEnds, stepOffsets, options);
}
export async function stepRewardsAsync<A extends Values>(
  q: A,
  offsets: Indices,
  stepEnds: Indices,
  stepOffsets: Indices,
  options: WithSignal<StepRewardsOptions<Beside<A>>> = {},
): Promise<StepRewards<Beside<A>>> {
  return runLater(stepCall<A>, q, offsets, stepEnds, stepOffsets, options);
}

/**
 * PRIME's advantages. Process source: rewards (divided by the largest absolute reverse cumulative sum of the batch + 1e-6 with
 * normalizeProcess "batch"), minus the mean of the other rollouts' average process reward (Eq. 5; "released": n/(n-1) times the
 * difference to the group's mean, as the published code), summed backwards with gammaProcess. Outcome source: minus the mean of
 * the other rollouts' outcomes, given at the last token, gammaOutcome per token before it. Their sum by processCoef and
 * outcomeCoef is `returns`; whitened over all tokens of the batch (unbiased variance + 1e-8) it is `advantages`.
 * An empty row has no tokens, but counts in its group (average process reward 0). A non-finite reward makes its group's returns
 * non-finite, and with whitening the whole batch's: the update is then to be skipped.
 */
export function primeAdvantages<V extends Values = Float32Array>(options: PrimeAdvantagesOptions<V>): PrimeAdvantages<Beside<V>> {
  return runNow(advantagesCall<V>, options);
}
export async function primeAdvantagesAsync<V extends Values = Float32Array>(
  options: WithSignal<PrimeAdvantagesOptions<V>>,
): Promise<PrimeAdvantages<Beside<V>>> {
  return runLater(advantagesCall<V>, options);
}
