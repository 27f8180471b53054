// How good a PRM's scores are: ranking, calibration and margin. Labels above 1/2 count as right.

import { absoluteAccuracy } from "./accuracy.ts";

export interface ScoreQuality {
  accuracy: number | undefined; // share whose score has the sign of the label
  auc: number | undefined; // chance that a right one scores above a wrong one; 1/2 is guessing
  calibration: number | undefined; // expected calibration error of sigmoid(score), 10 bins; 0 is perfect
  margin: number | undefined; // mean score of the right ones minus that of the wrong ones
}

/** All of the below for scores in log-odds. Fields are undefined where there are no rows, or only one kind of label. */
export function scoreQuality(scores: ArrayLike<number> /* [B] */, labels: ArrayLike<number> /* [B] */): ScoreQuality {
  return {
    accuracy: absoluteAccuracy(scores, labels),
    auc: areaUnderCurve(scores, labels),
    calibration: calibrationError(
      Array.from(scores, (score) => 1 / (1 + Math.exp(-score))),
      labels,
    ),
    margin: scoreMargin(scores, labels),
  };
}

/** Area under the ROC curve: the share of right-wrong pairs in which the right one scores higher, ties half. Undefined without such a pair. */
export function areaUnderCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): number | undefined {
  const order = Array.from({ length: labels.length }, (_, i) => i).sort((a, b) => scores[a] - scores[b]);
  let wrongBelow = 0;
  let won = 0;
  for (let i = 0; i < order.length; ) {
    let [right, wrong] = [0, 0];
    const score = scores[order[i]];
    if (Number.isNaN(score)) return undefined;
    for (; i < order.length && scores[order[i]] === score; i++) labels[order[i]] > 0.5 ? right++ : wrong++;
    won += right * (wrongBelow + wrong / 2);
    wrongBelow += wrong;
  }
  const rights = labels.length - wrongBelow;
  return rights === 0 || wrongBelow === 0 ? undefined : won / (rights * wrongBelow);
}

/** Expected calibration error: |mean probability - mean label| of each of `bins` equal bins, weighted by the rows in it. Undefined without rows. */
export function calibrationError(probabilities: ArrayLike<number>, labels: ArrayLike<number>, bins = 10): number | undefined {
  if (labels.length === 0) return undefined;
  const gaps = new Float64Array(bins); // sum of probability - label
  for (let i = 0; i < labels.length; i++) gaps[Math.min(bins - 1, Math.floor(probabilities[i] * bins))] += probabilities[i] - labels[i];
  return gaps.reduce((sum, gap) => sum + Math.abs(gap), 0) / labels.length;
}

/** Mean score of the right rows minus mean score of the wrong ones; undefined where either is missing. */
export function scoreMargin(scores: ArrayLike<number>, labels: ArrayLike<number>): number | undefined {
  const sums = [0, 0];
  const counts = [0, 0];
  for (let i = 0; i < labels.length; i++) {
    const kind = Number(labels[i] > 0.5);
    sums[kind] += scores[i];
    counts[kind]++;
  }
  return counts[0] === 0 || counts[1] === 0 ? undefined : sums[1] / counts[1] - sums[0] / counts[0];
}
