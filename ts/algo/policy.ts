// The clipped policy-gradient update.

import { ppoClipLoss } from "../kernels.ts";
import { gather, responseOffsets, splitByTokens } from "../rollout/pack.ts";
import type { Row } from "../rollout/types.ts";
import { groupMinibatches } from "./shuffle.ts";
import { countSkips, type MicroLoss, meanOfUpdates, type SkipCounter, type Trainable, type UpdateResult, updateMinibatch } from "./update.ts";

export interface PolicyOptions {
  temperature: number; // of the rollouts; the update sees the same distribution
  clipLow: number;
  clipHigh: number;
  dualClip: number; // 0 = off
  aggregate: "token-mean" | "sequence-mean" | "sequence-sum-mean";
  entropyCoef: number;
  klCoef: number;
  weightDecay: number;
  gradClip: number;
  policyEpochs: number;
  policyMinibatches: number;
  maxTokensPerBatch: number;
  maxSkippedUpdates: number;
}

export interface PolicyData {
  rows: readonly Row[]; // [B] whole groups of groupSize consecutive rows
  groupSize: number;
  oldLogprobs: Float32Array; // [N] of the policy that sampled
  advantages: Float32Array; // [N]
  reference?: Float32Array; // [N] for the KL term
  /** Rows that take no part in the update (truncated answers, where these are masked). */
  leaveOut?: ReadonlySet<number>;
}

export interface PolicyTraining {
  updates: UpdateResult[];
  loss: number | undefined;
  gradNorm: number | undefined;
  entropy: number | undefined; // token means over all updates, below too
  clipFraction: number | undefined;
  approxKl: number | undefined; // old - new
  ratioMax: number | undefined;
}

/** `policyEpochs` passes of `policyMinibatches` updates each. The order of groups depends on `key` alone. Throws ERR_NON_FINITE after too many skipped updates. */
export async function updatePolicy(
  policy: Trainable,
  data: PolicyData,
  o: PolicyOptions & { lr: number },
  skips: SkipCounter,
  key: readonly number[],
): Promise<PolicyTraining> {
  const offsets = responseOffsets(data.rows);
  const updates: UpdateResult[] = [];
  const totals = new TokenTotals();
  for (let epoch = 0; epoch < o.policyEpochs; epoch++) {
    for (const whole of groupMinibatches(data.rows.length, data.groupSize, o.policyMinibatches, ...key, epoch)) {
      const minibatch = whole.filter((row) => offsets[row + 1] > offsets[row] && !data.leaveOut?.has(row));
      if (minibatch.length === 0) continue;
      const normalizer = o.aggregate === "token-mean" ? minibatch.reduce((sum, row) => sum + offsets[row + 1] - offsets[row], 0) : minibatch.length;
      const microLoss: MicroLoss = (part, { logprobs, entropy, offsets: partOffsets }) => {
        const pick = (values: Float32Array) => gather(values, offsets, part);
        const result = ppoClipLoss({
          logprobs,
          oldLogprobs: pick(data.oldLogprobs),
          advantages: pick(data.advantages),
          offsets: partOffsets,
          clipLow: o.clipLow,
          clipHigh: o.clipHigh,
          aggregate: o.aggregate,
          normalizer,
          ...(o.dualClip > 0 && { dualClip: o.dualClip }),
          ...(o.entropyCoef !== 0 && { entropy, entropyCoef: o.entropyCoef }),
          ...(o.klCoef !== 0 && data.reference && { refLogprobs: pick(data.reference), klCoef: o.klCoef }),
        });
        totals.add(result, entropy);
        return result;
      };
      const parts = splitByTokens(data.rows, minibatch, o.maxTokensPerBatch);
      const update = await updateMinibatch(policy, data.rows, parts, microLoss, { lr: o.lr, weightDecay: o.weightDecay, gradClip: o.gradClip }, o.temperature);
      countSkips(skips, update.skipped, "the policy", o.maxSkippedUpdates);
      updates.push(update);
    }
  }
  return { updates, loss: meanOfUpdates(updates, "loss"), gradNorm: meanOfUpdates(updates, "gradNorm"), ...totals.means() };
}

// --- internal ---

/** Token-weighted means over micro-batches. */
class TokenTotals {
  private tokens = 0;
  private entropy = 0;
  private clipped = 0;
  private kl = 0;
  private ratioMax = 0;

  add({ clipFraction, approxKl, ratioMax }: { clipFraction: number; approxKl: number; ratioMax: number }, entropy: Float32Array): void {
    this.tokens += entropy.length;
    this.entropy += entropy.reduce((sum, x) => sum + x, 0);
    this.clipped += clipFraction * entropy.length;
    this.kl += approxKl * entropy.length;
    this.ratioMax = Math.max(this.ratioMax, ratioMax);
  }

  means(): Pick<PolicyTraining, "entropy" | "clipFraction" | "approxKl" | "ratioMax"> {
    if (this.tokens === 0) return { entropy: undefined, clipFraction: undefined, approxKl: undefined, ratioMax: undefined };
    const { tokens } = this;
    return { entropy: this.entropy / tokens, clipFraction: this.clipped / tokens, approxKl: this.kl / tokens, ratioMax: this.ratioMax };
  }
}
