// Training the implicit process reward model on outcome labels.

import { gather, responseOffsets, scatter, splitByTokens } from "../rollout/pack.ts";
import type { Row } from "../rollout/types.ts";
import { type PrmLoss, prmLosses } from "./prm_losses.ts";
import { groupMinibatches } from "./shuffle.ts";
import { countSkips, type MicroLoss, meanOfUpdates, type SkipCounter, type Trainable, type UpdateResult, updateMinibatch } from "./update.ts";

export { type PrmLoss, prmLosses };

export interface PrmOptions {
  prmLoss: PrmLoss;
  prmBeta: number;
  prmLr: number;
  prmWeightDecay: number;
  prmGradClip: number;
  prmEpochs: number;
  prmMinibatches: number;
  maxTokensPerBatch: number;
  maxSkippedUpdates: number;
}

/** Rows with outcome labels, whole groups of `groupSize` consecutive rows. */
export interface PrmData {
  rows: readonly Row[]; // [B]
  labels: Float32Array; // [B] in 0..1
  reference: Float32Array; // [N] log-probs of the frozen reference
  groupSize: number;
}

export interface PrmTraining {
  /** [N] the PRM's log-probs in the first pass, each from before its own minibatch's step (with one minibatch: from before any step). */
  firstPass: Float32Array;
  updates: UpdateResult[];
  loss: number | undefined;
  gradNorm: number | undefined;
}

/** Trains the PRM: `prmEpochs` passes of `prmMinibatches` updates each. The order of groups depends on `key` alone. Throws ERR_NON_FINITE after too many skipped updates. */
export async function trainPrm(prm: Trainable, data: PrmData, o: PrmOptions, skips: SkipCounter, key: readonly number[]): Promise<PrmTraining> {
  const offsets = responseOffsets(data.rows);
  const firstPass = new Float32Array(offsets[data.rows.length]);
  const updates: UpdateResult[] = [];
  const { whole, loss } = prmLosses[o.prmLoss];
  for (let epoch = 0; epoch < o.prmEpochs; epoch++) {
    for (const minibatch of groupMinibatches(data.rows.length, data.groupSize, o.prmMinibatches, ...key, epoch)) {
      const microLoss: MicroLoss = (part, scores) => {
        if (epoch === 0) scatter(firstPass, offsets, part, scores.logprobs);
        const refLogprobs = gather(data.reference, offsets, part);
        const labels = Float32Array.from(part, (row) => data.labels[row]);
        return loss(
          { prmLogprobs: scores.logprobs, refLogprobs, offsets: scores.offsets, labels, groupSize: data.groupSize, beta: o.prmBeta },
          minibatch.length,
        );
      };
      const parts = splitByTokens(data.rows, minibatch, o.maxTokensPerBatch, whole ? data.groupSize : 1);
      const update = await updateMinibatch(prm, data.rows, parts, microLoss, { lr: o.prmLr, weightDecay: o.prmWeightDecay, gradClip: o.prmGradClip });
      countSkips(skips, update.skipped, "the PRM", o.maxSkippedUpdates);
      updates.push(update);
    }
  }
  return { firstPass, updates, loss: meanOfUpdates(updates, "loss"), gradNorm: meanOfUpdates(updates, "gradNorm") };
}
