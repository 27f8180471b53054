// Losses and their gradients by the log-probs: PPO's clipped loss, and the implicit reward model's cross entropy and DPO.

import { rangeError } from "../errors.ts";
import type { Floats, NativePpoResult } from "../native/types.ts";
import { type KernelCall, type RunOptions, runLater, runNow, type WithSignal } from "./call.ts";
import {
  type Beside,
  float32,
  groupsOf,
  type Indices,
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
import { DeviceArray } from "./device_array.ts";

type LogProbs = Floats | DeviceArray;

export interface PpoClipLossOptions<A extends LogProbs = Floats> extends RunOptions {
  logprobs: A; // [N] of the policy being trained
  oldLogprobs: A; // [N] of the policy that sampled
  advantages: Beside<A>; // [N]
  offsets: Indices; // [B+1]
  clipLow?: number; // default 0.2
  clipHigh?: number; // default 0.2
  aggregate?: "token-mean" | "sequence-mean" | "sequence-sum-mean";
  dualClip?: number; // > 1: where the advantage is negative, loss <= -advantage * dualClip
  entropy?: Beside<A>; // [N]
  entropyCoef?: number; // loss term -entropyCoef * entropy; default 0
  refLogprobs?: A; // [N]
  klCoef?: number; // loss term klCoef * k3(ref, policy); default 0
  normalizer?: number; // > 0: divisor of the sum over tokens (token-mean) or rows, so that micro-batches add up; default: this call's own
  out?: { dLogprobs?: Beside<A>; dEntropy?: Beside<A> };
}
export interface PpoClipLoss<V = Float32Array> {
  loss: number;
  dLogprobs: V; // [N] exact derivative of loss
  dEntropy?: V; // [N] when entropy was given
  clipFraction: number; // share of tokens whose clipped term is strictly larger
  approxKl: number; // token mean of old - new, clamped to +-20
  ratioMax: number; // largest new/old probability ratio; 0 without tokens
  kl?: number; // token mean of k3, when refLogprobs was given
  entropy?: number; // token mean, when entropy was given
}
export interface PrmCrossEntropyOptions<A extends LogProbs = Floats> extends RunOptions {
  prmLogprobs: A; // [N]
  refLogprobs: A; // [N]
  offsets: Indices; // [B+1]
  labels: Beside<A>; // [B] in 0..1 (on a device not checked)
  beta: number;
  normalizer?: number; // > 0: divisor of the sum over rows; default B
  out?: { dLogprobs?: Beside<A>; probabilities?: Beside<A> };
}
export interface PrmCrossEntropy<V = Float32Array> {
  loss: number;
  dLogprobs: V; // [N] by prmLogprobs
  probabilities: V; // [B] sigmoid of the row's score
  accuracy: number; // share of rows whose score has the sign of 2 label - 1
}
export interface PrmDpoOptions<A extends LogProbs = Floats> extends RunOptions {
  prmLogprobs: A;
  refLogprobs: A;
  offsets: Indices;
  labels: Beside<A>; // [B] in 0..1 (on a device not checked)
  groupSize?: number; // rows per prompt; or
  groupOffsets?: Indices; // [P+1] in rows
  beta: number;
  groupScores?: Beside<A>; // [B] beta * sum of log-ratios before the update; default: the current ones, detached
  out?: { dLogprobs?: Beside<A> };
}
export interface PrmDpo<V = Float32Array> {
  loss: number;
  dLogprobs: V; // [N]
  accuracy: number; // as in PrmCrossEntropy
}

const AGGREGATES = ["token-mean", "sequence-mean", "sequence-sum-mean"] as const; // the order of native Aggregate
const PPO_KEYS = [
  ...["logprobs", "oldLogprobs", "advantages", "offsets", "clipLow", "clipHigh", "aggregate", "dualClip", "entropy", "entropyCoef"],
  ...["refLogprobs", "klCoef", "normalizer"],
];

const last = (offsets: Int32Array) => offsets[offsets.length - 1];
const normalizerOf = (value: number | undefined) => (value === undefined ? 0 : numberIn("normalizer", value, 1e-30, 1e30));

function labelsOf(value: unknown, rows: number): Values {
  const labels = float32("labels", value, rows, "one per row");
  if (labels instanceof DeviceArray) return labels; // reading them back would cost more than the kernel
  for (let i = 0; i < rows; i++) if (!(labels[i] >= 0 && labels[i] <= 1)) throw rangeError(`labels[${i}]`, "a number from 0 to 1", labels[i]);
  return labels;
}

function ppoCall<A extends LogProbs>(options: PpoClipLossOptions<A>): KernelCall<PpoClipLoss<Beside<A>>> {
  const o = kernelOptions(options, PPO_KEYS);
  const rows = offsetsOf("offsets", o.offsets);
  const n = last(rows);
  const logprobs = logProbs("logprobs", o.logprobs, n);
  const old = logProbs("oldLogprobs", o.oldLogprobs, n, logprobs);
  const advantages = float32("advantages", o.advantages, n, "the last offset");
  const entropy = optionalFloat32("entropy", o.entropy, n, "the last offset");
  const ref = o.refLogprobs === undefined ? undefined : logProbs("refLogprobs", o.refLogprobs, n, logprobs);
  const entropyCoef = numberIn("entropyCoef", o.entropyCoef ?? 0, -1e30, 1e30);
  const klCoef = numberIn("klCoef", o.klCoef ?? 0, -1e30, 1e30);
  if (entropyCoef !== 0 && !entropy) throw rangeError("entropy", "given when entropyCoef is not 0", undefined);
  if (klCoef !== 0 && !ref) throw rangeError("refLogprobs", "given when klCoef is not 0", undefined);
  const clip = [numberIn("clipLow", o.clipLow ?? 0.2, 0, 1e30), numberIn("clipHigh", o.clipHigh ?? 0.2, 0, 1e30)] as const;
  const aggregate = AGGREGATES.indexOf(oneOf("aggregate", o.aggregate ?? "token-mean", AGGREGATES));
  const dualClip = o.dualClip === undefined ? 0 : numberIn("dualClip", o.dualClip, 1, 1e30);
  const normalizer = normalizerOf(o.normalizer);
  const out = optionsOf("out", o.out ?? {}, ["dLogprobs", "dEntropy"]);
  const dLogprobs = output("dLogprobs", out.dLogprobs, n, o.logprobs);
  const dEntropy = entropy ? output("dEntropy", out.dEntropy, n, o.logprobs) : undefined;
  return {
    run: (addon, ...how) =>
      addon.ppoClipLoss(
        dLogprobs,
        dEntropy,
        logprobs,
        old,
        advantages,
        entropy,
        ref,
        rows,
        ...clip,
        aggregate,
        dualClip,
        entropyCoef,
        klCoef,
        normalizer,
        ...how,
      ),
    result: (raw: NativePpoResult) => {
      const { kl, entropy: meanEntropy, ...rest } = raw;
      return { ...rest, dLogprobs, ...(dEntropy ? { dEntropy, entropy: meanEntropy } : {}), ...(ref ? { kl } : {}) };
    },
    arrays: [logprobs, old, advantages, entropy, ref, rows, dLogprobs, dEntropy],
  };
}

function crossEntropyCall<A extends LogProbs>(options: PrmCrossEntropyOptions<A>): KernelCall<PrmCrossEntropy<Beside<A>>> {
  const o = kernelOptions(options, ["prmLogprobs", "refLogprobs", "offsets", "labels", "beta", "normalizer"]);
  const rows = offsetsOf("offsets", o.offsets);
  const prm = logProbs("prmLogprobs", o.prmLogprobs, last(rows));
  const ref = logProbs("refLogprobs", o.refLogprobs, last(rows), prm);
  const labels = labelsOf(o.labels, rows.length - 1);
  const beta = numberIn("beta", o.beta, 1e-30, 1e30);
  const normalizer = normalizerOf(o.normalizer);
  const out = optionsOf("out", o.out ?? {}, ["dLogprobs", "probabilities"]);
  const dLogprobs = output("dLogprobs", out.dLogprobs, prm.length, o.prmLogprobs);
  const probabilities = output("probabilities", out.probabilities, labels.length, o.prmLogprobs);
  return {
    run: (addon, ...how) => addon.prmCrossEntropyLoss(dLogprobs, probabilities, prm, ref, rows, labels, beta, normalizer, ...how),
    result: (raw: { loss: number; accuracy: number }) => ({ loss: raw.loss, dLogprobs, probabilities, accuracy: raw.accuracy }),
    arrays: [prm, ref, rows, labels, dLogprobs, probabilities],
  };
}

function dpoCall<A extends LogProbs>(options: PrmDpoOptions<A>): KernelCall<PrmDpo<Beside<A>>> {
  const o = kernelOptions(options, ["prmLogprobs", "refLogprobs", "offsets", "labels", "groupSize", "groupOffsets", "beta", "groupScores"]);
  const rows = offsetsOf("offsets", o.offsets);
  const prm = logProbs("prmLogprobs", o.prmLogprobs, last(rows));
  const ref = logProbs("refLogprobs", o.refLogprobs, last(rows), prm);
  const labels = labelsOf(o.labels, rows.length - 1);
  const groups = groupsOf(o, rows.length - 1, 1);
  const beta = numberIn("beta", o.beta, 1e-30, 1e30);
  const scores = optionalFloat32("groupScores", o.groupScores, rows.length - 1, "one per row");
  const dLogprobs = output("dLogprobs", optionsOf("out", o.out ?? {}, ["dLogprobs"]).dLogprobs, prm.length, o.prmLogprobs);
  return {
    run: (addon, ...how) => addon.prmDpoLoss(dLogprobs, prm, ref, rows, labels, groups, scores, beta, ...how),
    result: (raw: { loss: number; accuracy: number }) => ({ loss: raw.loss, dLogprobs, accuracy: raw.accuracy }),
    arrays: [prm, ref, rows, labels, groups, scores, dLogprobs],
  };
}

/**
 * PPO's clipped policy loss with optional dual clip, entropy bonus and k3 penalty, and its exact gradient, in one pass.
 * Log-ratios are clamped to +-20 before exp; a clamped token has no gradient. Where both log-probs are the same infinity the
 * log-ratio is 0. aggregate: mean over tokens; mean over rows of each row's token mean; mean over rows of each row's token sum.
 * An empty row adds nothing to the sums and counts as a row. NaN log-probs or advantages give a NaN loss.
 */
export function ppoClipLoss<A extends LogProbs = Floats>(options: PpoClipLossOptions<A>): PpoClipLoss<Beside<A>> {
  return runNow(ppoCall<A>, options);
}
export async function ppoClipLossAsync<A extends LogProbs = Floats>(options: WithSignal<PpoClipLossOptions<A>>): Promise<PpoClipLoss<Beside<A>>> {
  return runLater(ppoCall<A>, options);
}

/**
 * Cross entropy of sigmoid(beta * sum of log-ratios) and the outcome label, mean over rows (PRIME's default PRM loss); labels
 * may be fractions. In logits form, so it does not saturate. An empty row has score 0.
 */
export function prmCrossEntropyLoss<A extends LogProbs = Floats>(options: PrmCrossEntropyOptions<A>): PrmCrossEntropy<Beside<A>> {
  return runNow(crossEntropyCall<A>, options);
}
export async function prmCrossEntropyLossAsync<A extends LogProbs = Floats>(
  options: WithSignal<PrmCrossEntropyOptions<A>>,
): Promise<PrmCrossEntropy<Beside<A>>> {
  return runLater(crossEntropyCall<A>, options);
}

/**
 * DPO-style PRM loss (verl's "dpo" with detached opponents): mean over rows of -log sigmoid(s (score - O)), s = +1 for rows with
 * label > 0 and -1 otherwise, O the mean of groupScores over the group's members with a smaller label (s = +1) or a larger one (s = -1), 0 if none.
 */
export function prmDpoLoss<A extends LogProbs = Floats>(options: PrmDpoOptions<A>): PrmDpo<Beside<A>> {
  return runNow(dpoCall<A>, options);
}
export async function prmDpoLossAsync<A extends LogProbs = Floats>(options: WithSignal<PrmDpoOptions<A>>): Promise<PrmDpo<Beside<A>>> {
  return runLater(dpoCall<A>, options);
}
