// Implicit process rewards, rewards of steps, and PRIME's advantages.
import { rangeError } from "../errors.ts";
import type { Floats } from "../native/types.ts";
import { type KernelCall, runLater, runNow, type WithSignal } from "./call.ts";
import { flag, float32, groupsOf, int32, logProbs, numberIn, offsetsOf, oneOf, optionalFloat32, optionsOf, output } from "./checks.ts";

export interface ImplicitRewardsOptions {
  beta: number; // > 0
  out?: { rewards?: Float32Array; q?: Float32Array; scores?: Float32Array };
}
export interface ImplicitRewards {
  rewards: Float32Array; // [N] r_t = beta (log phi - log ref)
  q: Float32Array; // [N] sum of r up to and including t, within the row
  scores: Float32Array; // [B] q at the last token; 0 for an empty row
}
export interface StepRewardsOptions {
  out?: { cumulative?: Float32Array; perStep?: Float32Array };
}
export interface StepRewards {
  cumulative: Float32Array; // [S] q at the step's end
  perStep: Float32Array; // [S] differences of those within the row
}
export interface PrimeAdvantagesOptions {
  processRewards?: Float32Array; // [N]
  outcomeRewards?: Float32Array; // [B]
  offsets: Int32Array; // [B+1]
  groupSize?: number; // rows per prompt, >= 2; or
  groupOffsets?: Int32Array; // [P+1] in rows
  gammaProcess?: number; // 0..1, default 1
  gammaOutcome?: number; // 0..1, default 1
  processCoef?: number; // default 1; 0 leaves the source out
  outcomeCoef?: number; // default 1
  baseline?: "leave-one-out" | "released";
  normalizeProcess?: "batch" | "none";
  whiten?: boolean; // default true
  out?: { advantages?: Float32Array; returns?: Float32Array };
}
export interface PrimeAdvantages {
  advantages: Float32Array; // [N]
  returns: Float32Array; // [N] before whitening
}

const last = (offsets: Int32Array) => offsets[offsets.length - 1];

function implicitCall(prmLogprobs: Floats, refLogprobs: Floats, offsets: Int32Array, options: ImplicitRewardsOptions): KernelCall<ImplicitRewards> {
  const o = optionsOf("options", options, ["beta", "out", "signal"]);
  const rows = offsetsOf("offsets", offsets);
  const prm = logProbs("prmLogprobs", prmLogprobs, last(rows));
  const ref = logProbs("refLogprobs", refLogprobs, last(rows), prm);
  const beta = numberIn("beta", o.beta, 1e-30, 1e30);
  const out = optionsOf("out", o.out ?? {}, ["rewards", "q", "scores"]);
  const result = {
    rewards: output("rewards", out.rewards, prm.length),
    q: output("q", out.q, prm.length),
    scores: output("scores", out.scores, rows.length - 1),
  };
  return {
    run: (addon, cancel) => addon.implicitRewards(result.rewards, result.q, result.scores, prm, ref, rows, beta, cancel),
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

function stepCall(q: Float32Array, offsets: Int32Array, stepEnds: Int32Array, stepOffsets: Int32Array, options: StepRewardsOptions): KernelCall<StepRewards> {
  const o = optionsOf("options", options, ["out", "signal"]);
  const rows = offsetsOf("offsets", offsets);
  const sums = float32("q", q, last(rows), "the last offset");
  const ends = int32("stepEnds", stepEnds);
  const steps = offsetsOf("stepOffsets", stepOffsets, ends.length, "the number of steps");
  if (steps.length !== rows.length) throw rangeError("stepOffsets", `an Int32Array of ${rows.length} elements, like offsets`, steps);
  checkStepEnds(ends, steps, rows);
  const out = optionsOf("out", o.out ?? {}, ["cumulative", "perStep"]);
  const result = { cumulative: output("cumulative", out.cumulative, ends.length), perStep: output("perStep", out.perStep, ends.length) };
  return {
    run: (addon, cancel) => addon.stepRewards(result.cumulative, result.perStep, sums, rows, ends, steps, cancel),
    result: () => result,
    arrays: [sums, rows, ends, steps, result.cumulative, result.perStep],
  };
}

const ADVANTAGE_KEYS = [
  ...["processRewards", "outcomeRewards", "offsets", "groupSize", "groupOffsets", "gammaProcess", "gammaOutcome", "processCoef", "outcomeCoef"],
  ...["baseline", "normalizeProcess", "whiten", "out", "signal"],
];

function advantagesCall(options: PrimeAdvantagesOptions): KernelCall<PrimeAdvantages> {
  const o = optionsOf("options", options, ADVANTAGE_KEYS);
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
  const result = { advantages: output("advantages", out.advantages, tokens), returns: output("returns", out.returns, tokens) };
  return {
    run: (addon, cancel) =>
      addon.primeAdvantages(result.advantages, result.returns, process, outcome, rows, groups, ...gammas, ...coefs, released, batch, whiten, cancel),
    result: () => result,
    arrays: [rows, groups, process, outcome, result.advantages, result.returns],
  };
}

/**
 * Implicit process rewards of packed rows (PRIME, arXiv 2502.01456, section 2): r_t = beta (log phi - log ref), their running
 * sums and row scores. Sums run in float64. Where both log-probs are the same infinity the ratio counts as 0; an infinite one
 * on one side gives an infinite reward. The last token (EOS) carries a reward like any other.
 */
export function implicitRewards(prmLogprobs: Floats, refLogprobs: Floats, offsets: Int32Array, options: ImplicitRewardsOptions): ImplicitRewards {
  return runNow(implicitCall(prmLogprobs, refLogprobs, offsets, options));
}
export async function implicitRewardsAsync(
  prmLogprobs: Floats,
  refLogprobs: Floats,
  offsets: Int32Array,
  options: WithSignal<ImplicitRewardsOptions>,
): Promise<ImplicitRewards> {
  return runLater(implicitCall(prmLogprobs, refLogprobs, offsets, options), options.signal);
}

/** Rewards of steps: q at each step's last token (stepEnds, positions inside the row, increasing) and the differences. stepOffsets [B+1] splits the steps by row. */
export function stepRewards(
  q: Float32Array,
  offsets: Int32Array,
  stepEnds: Int32Array,
  stepOffsets: Int32Array,
  options: StepRewardsOptions = {},
): StepRewards {
  return runNow(stepCall(q, offsets, stepEnds, stepOffsets, options));
}
export async function stepRewardsAsync(
  q: Float32Array,
  offsets: Int32Array,
  stepEnds: Int32Array,
  stepOffsets: Int32Array,
  options: WithSignal<StepRewardsOptions> = {},
): Promise<StepRewards> {
  return runLater(stepCall(q, offsets, stepEnds, stepOffsets, options), options.signal);
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
export function primeAdvantages(options: PrimeAdvantagesOptions): PrimeAdvantages {
  return runNow(advantagesCall(options));
}
export async function primeAdvantagesAsync(options: WithSignal<PrimeAdvantagesOptions>): Promise<PrimeAdvantages> {
  return runLater(advantagesCall(options), options.signal);
}
