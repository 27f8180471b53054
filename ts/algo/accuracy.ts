// How well PRM scores agree with outcomes.

/**
 * Share of pairs inside a group that the scores order as the labels do, pairs weighted by the label difference, ties half; mean over groups with different labels.
 * 1/2 is chance. Undefined when no group has two different labels. (The published metric also averages in 1/2 for every uniform group.)
 */
export function pairwiseAccuracy(scores: ArrayLike<number> /* [B] */, labels: ArrayLike<number> /* [B] */, groupSize: number): number | undefined {
  let sum = 0;
  let groups = 0;
  for (let start = 0; start < labels.length; start += groupSize) {
    const share = groupAccuracy(scores, labels, start, start + groupSize);
    if (share === undefined) continue;
    sum += share;
    groups++;
  }
  return groups === 0 ? undefined : sum / groups;
}

/** Share of rows whose score has the sign of 2*label - 1 (a score of 0 counts half, as it says nothing). Undefined without rows. */
export function absoluteAccuracy(scores: ArrayLike<number>, labels: ArrayLike<number>): number | undefined {
  if (labels.length === 0) return undefined;
  let right = 0;
  for (let i = 0; i < labels.length; i++) right += scores[i] === 0 ? 0.5 : Number(scores[i] > 0 === labels[i] > 0.5);
  return right / labels.length;
}

// --- internal ---

function groupAccuracy(scores: ArrayLike<number>, labels: ArrayLike<number>, start: number, end: number): number | undefined {
  let right = 0;
  let total = 0;
  for (let i = start; i < end; i++) {
    for (let j = start; j < end; j++) {
      if (!(labels[i] > labels[j])) continue;
      const weight = labels[i] - labels[j];
      total += weight;
      right += weight * (scores[i] === scores[j] ? 0.5 : Number(scores[i] > scores[j]));
    }
  }
  return total === 0 ? undefined : right / total;
}
