// The losses of an implicit PRM on labels of whole answers, by name: cross entropy, detached DPO, and DPO weighted towards the best of n.

import { implicitRewards, prmCrossEntropyLoss, prmDpoLoss } from "../kernels.ts";

export interface PrmLossInput {
  prmLogprobs: Float32Array; // [N]
  refLogprobs: Float32Array; // [N]
  offsets: Int32Array; // [B+1]
  labels: Float32Array; // [B] in 0..1
  groupSize?: number; // rows per prompt; or
  groupOffsets?: Int32Array; // [P+1] in rows
  beta: number;
}

export interface PrmLossResult {
  loss: number;
  dLogprobs: Float32Array; // [N] by prmLogprobs
}

interface PrmLossForm {
  /** A micro-batch must hold whole groups, as the loss compares their members. */
  whole: boolean;
  /** Loss and gradient of a micro-batch of a minibatch of `minibatchRows` rows; those of its micro-batches add up. */
  loss(input: PrmLossInput, minibatchRows: number): PrmLossResult;
  summary: string;
}

export const prmLosses = {
  ce: {
    whole: false,
    summary: "cross entropy of sigmoid(score) and the label",
    loss: ({ prmLogprobs, refLogprobs, offsets, labels, beta }, minibatchRows) =>
      prmCrossEntropyLoss({ prmLogprobs, refLogprobs, offsets, labels, beta, normalizer: minibatchRows }),
  },
  dpo: {
    whole: true,
    summary: "detached DPO within a prompt's answers",
    loss: (input, minibatchRows) => {
      const share = input.labels.length / minibatchRows; // the kernel's mean is over its own rows
      const { loss, dLogprobs } = prmDpoLoss(input);
      return { loss: loss * share, dLogprobs: dLogprobs.map((g) => g * share) };
    },
  },
  bon_acc: {
    whole: true,
    summary: "DPO weighted towards the best of n by label; a sum over answers, as published",
    loss: (input) => weightedDpo(input, (row, group) => group.labels.filter((label) => label <= group.labels[row]).length),
  },
  bon_rm: {
    whole: true,
    summary: "DPO weighted towards the best of n by score; a sum over answers, as published",
    loss: (input) => weightedDpo(input, (row, group) => group.scores.filter((score) => score <= group.scores[row]).length),
  },
} as const satisfies Record<string, PrmLossForm>;

export type PrmLoss = keyof typeof prmLosses;

// --- internal ---

/** The answers to one prompt, in float64. */
interface AnswerGroup {
  scores: number[]; // [G] beta * sum of log-ratios; as they are now, which is from before the update
  labels: number[]; // [G]
}

/**
 * Sum over answers of weight * -log sigmoid(s (score - O)); s and O as in prmDpoLoss. The weight of an answer is n (k/n)^(n-1), where `atMost` counts
 * the k of its n group members that are not above it: up to a factor, how likely it is the best of n draws (verl's bon_acc and bon_rm).
 * Opponents and weights carry no gradient.
 */
function weightedDpo(input: PrmLossInput, atMost: (row: number, group: AnswerGroup) => number): PrmLossResult {
  const { offsets, labels, beta } = input;
  const { scores } = implicitRewards(input.prmLogprobs, input.refLogprobs, offsets, { beta });
  const dLogprobs = new Float32Array(input.prmLogprobs.length);
  let loss = 0;
  for (const [begin, end] of groupsOf(input)) {
    const group = { scores: Array.from(scores.subarray(begin, end)), labels: Array.from(labels.subarray(begin, end)) };
    for (let row = 0; row < end - begin; row++) {
      const n = end - begin;
      const weight = n * (atMost(row, group) / n) ** (n - 1);
      const sign = group.labels[row] > 0 ? 1 : -1;
      const lead = sign * (group.scores[row] - opponents(row, group));
      loss += weight * softplus(-lead);
      dLogprobs.fill((-weight * sign * beta) / (1 + Math.exp(lead)), offsets[begin + row], offsets[begin + row + 1]);
    }
  }
  return { loss, dLogprobs };
}

/** Mean score of the group's answers that are worse (for a right answer) or better (for a wrong one); 0 if there are none. */
function opponents(row: number, { scores, labels }: AnswerGroup): number {
  const others = scores.filter((_, j) => (labels[row] > 0 ? labels[j] < labels[row] : labels[j] > labels[row]));
  return others.length === 0 ? 0 : others.reduce((sum, score) => sum + score, 0) / others.length;
}

function groupsOf({ labels, groupSize, groupOffsets }: PrmLossInput): [number, number][] {
  if (groupOffsets) return Array.from({ length: groupOffsets.length - 1 }, (_, g) => [groupOffsets[g], groupOffsets[g + 1]]);
  const size = groupSize ?? labels.length;
  return Array.from({ length: size === 0 ? 0 : labels.length / size }, (_, g) => [g * size, (g + 1) * size]);
}

/** log(1 + e^x) without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}
