// One optimizer step of an implicit PRM on labelled answers: some with a label of the whole answer, some with labels of their steps.

import { implicitRewards } from "../kernels.ts";
import type { StepOptions } from "../model.ts";
import { gather, range, responseOffsets, scatter, splitByTokens } from "../rollout/pack.ts";
import type { Row } from "../rollout/types.ts";
import { type PrmLoss, type PrmLossResult, prmLosses } from "./prm_losses.ts";
import { prmStepLoss } from "./prm_steps.ts";
import { type MicroLoss, type Trainable, type UpdateResult, updateMinibatch } from "./update.ts";

/** An answer with one label, or with labels of steps (then those are trained on, and `label` is only reported on). */
export interface LabelledRow extends Row {
  group: number; // answers to the same prompt have the same; a batch has a group's rows together
  label?: number; // of the whole answer, 0..1
  steps?: { ends: Int32Array; labels: Float32Array }; // [S] last tokens, rising, and labels in 0..1; at least one
}

export interface PrmUpdateOptions extends StepOptions {
  loss: PrmLoss; // on labels of whole answers
  beta: number;
  maxTokensPerBatch: number;
}

export interface PrmUpdate extends UpdateResult {
  /** [N] the PRM's log-probs before the step, along responseOffsets(rows). */
  logprobs: Float32Array;
}

/**
 * One step on the batch's loss: the chosen loss over the rows with one label, plus prmStepLoss over those with labels of steps, each a mean over all B rows
 * (best-of-n losses are sums over theirs, as published). `reference` [N] lies along responseOffsets(rows). Rows with one label come first.
 */
export async function updatePrm(prm: Trainable, rows: readonly LabelledRow[], reference: Float32Array, o: PrmUpdateOptions): Promise<PrmUpdate> {
  const offsets = responseOffsets(rows);
  const logprobs = new Float32Array(offsets[rows.length]);
  const microLoss: MicroLoss = (part, scores) => {
    scatter(logprobs, offsets, part, scores.logprobs);
    return partLoss(rows, part, scores.logprobs, gather(reference, offsets, part), scores.offsets, o);
  };
  const { lr, betas, eps, weightDecay, gradClip } = o;
  const update = await updateMinibatch(prm, rows, microBatches(rows, o), microLoss, { lr, betas, eps, weightDecay, gradClip });
  return { ...update, logprobs };
}

/** The same loss, for log-probs at hand. */
export function prmBatchLoss(
  rows: readonly LabelledRow[],
  logprobs: Float32Array,
  reference: Float32Array,
  o: Pick<PrmUpdateOptions, "loss" | "beta">,
): number {
  const offsets = responseOffsets(rows);
  const kinds = [range(rows.length).filter((row) => !rows[row].steps), range(rows.length).filter((row) => rows[row].steps)];
  return kinds
    .filter((part) => part.length > 0)
    .reduce((sum, part) => {
      const own = responseOffsets(part.map((row) => rows[row]));
      return sum + partLoss(rows, part, gather(logprobs, offsets, part), gather(reference, offsets, part), own, o).loss;
    }, 0);
}

/** Scores [B] of whole answers, and Q [S] at every labelled step's end, row by row. */
export function scoresOf(
  rows: readonly LabelledRow[],
  logprobs: Float32Array,
  reference: Float32Array,
  beta: number,
): { scores: Float32Array; stepQ: Float32Array; stepLabels: Float32Array } {
  const offsets = responseOffsets(rows);
  const { scores, q } = implicitRewards(logprobs, reference, offsets, { beta });
  const stepQ = rows.flatMap(({ steps }, row) => Array.from(steps?.ends ?? [], (end) => q[offsets[row] + end]));
  return { scores, stepQ: Float32Array.from(stepQ), stepLabels: Float32Array.from(rows.flatMap(({ steps }) => Array.from(steps?.labels ?? []))) };
}

// --- internal ---

/** Micro-batches hold rows of one kind only, and whole groups where the loss needs them; a group above the token budget stands alone. */
function microBatches(rows: readonly LabelledRow[], { loss, maxTokensPerBatch }: PrmUpdateOptions): number[][] {
  const answers = range(rows.length).filter((row) => !rows[row].steps);
  const steps = range(rows.length).filter((row) => rows[row].steps);
  const tokens = (unit: readonly number[]) => unit.reduce((sum, row) => sum + rows[row].prompt.length + rows[row].response.length, 0);
  const parts: number[][] = [];
  for (const unit of prmLosses[loss].whole ? groupRuns(rows, answers) : answers.map((row) => [row])) {
    const last = parts.at(-1);
    if (last && tokens(last) + tokens(unit) <= maxTokensPerBatch) last.push(...unit);
    else parts.push([...unit]);
  }
  return [...parts, ...splitByTokens(rows, steps, maxTokensPerBatch)];
}

function partLoss(
  rows: readonly LabelledRow[],
  part: readonly number[],
  prmLogprobs: Float32Array,
  refLogprobs: Float32Array,
  offsets: Int32Array,
  { loss, beta }: Pick<PrmUpdateOptions, "loss" | "beta">,
): PrmLossResult {
  const steps = part.flatMap((row) => rows[row].steps ?? []);
  if (steps.length > 0) {
    const stepOffsets = offsetsOf(steps.map(({ ends }) => ends.length));
    const stepEnds = Int32Array.from(steps.flatMap(({ ends }) => Array.from(ends)));
    const labels = Float32Array.from(steps.flatMap((step) => Array.from(step.labels)));
    return prmStepLoss({ prmLogprobs, refLogprobs, offsets, stepEnds, stepOffsets, labels, beta, normalizer: rows.length });
  }
  const labels = Float32Array.from(part, (row) => rows[row].label ?? Number.NaN);
  const groupOffsets = offsetsOf(groupRuns(rows, part).map((run) => run.length));
  return prmLosses[loss].loss({ prmLogprobs, refLogprobs, offsets, labels, groupOffsets, beta }, rows.length);
}

/** Row indices, cut where the group changes. */
function groupRuns(rows: readonly LabelledRow[], indices: readonly number[]): number[][] {
  const runs: number[][] = [];
  indices.forEach((row, i) => {
    if (i > 0 && rows[row].group === rows[indices[i - 1]].group) runs[runs.length - 1].push(row);
    else runs.push([row]);
  });
  return runs;
}

function offsetsOf(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1);
  lengths.forEach((length, i) => {
    offsets[i + 1] = offsets[i] + length;
  });
  return offsets;
}
