// Float64 oracles of the losses, token by token and row by row. Their gradients are tested by finite differences of these.

type Numbers = ArrayLike<number>;

function clamp(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}
function clampedRatio(a: number, b: number): number {
  return clamp(a === b ? 0 : a - b, -20, 20);
}

export interface PpoCase {
  logprobs: Numbers;
  oldLogprobs: Numbers;
  advantages: Numbers;
  offsets: Numbers;
  clipLow?: number;
  clipHigh?: number;
  aggregate?: "token-mean" | "sequence-mean" | "sequence-sum-mean";
  dualClip?: number;
  entropy?: Numbers;
  entropyCoef?: number;
  refLogprobs?: Numbers;
  klCoef?: number;
  normalizer?: number;
}

export function ppoReference(c: PpoCase) {
  const tokens = c.offsets[c.offsets.length - 1];
  const rows = c.offsets.length - 1;
  let [loss, clipped, approxKl, ratioMax, kl] = [0, 0, 0, 0, 0];
  for (let row = 0; row < rows; row++) {
    let rowLoss = 0;
    for (let t = c.offsets[row]; t < c.offsets[row + 1]; t++) {
      const logRatio = clampedRatio(c.logprobs[t], c.oldLogprobs[t]);
      const ratio = Math.exp(logRatio);
      const plain = -c.advantages[t] * ratio;
      const limited = -c.advantages[t] * clamp(ratio, 1 - (c.clipLow ?? 0.2), 1 + (c.clipHigh ?? 0.2));
      let token = Math.max(plain, limited);
      if (c.dualClip && c.advantages[t] < 0) token = Math.min(token, -c.advantages[t] * c.dualClip);
      if (c.refLogprobs) {
        const d = clampedRatio(c.refLogprobs[t], c.logprobs[t]);
        const k3 = Math.expm1(d) - d;
        kl += k3;
        token += (c.klCoef ?? 0) * k3;
      }
      if (c.entropy) token -= (c.entropyCoef ?? 0) * c.entropy[t];
      rowLoss += token;
      clipped += limited > plain ? 1 : 0;
      approxKl -= logRatio;
      ratioMax = Math.max(ratioMax, ratio);
    }
    const length = c.offsets[row + 1] - c.offsets[row];
    loss += c.aggregate === "sequence-mean" && length > 0 ? rowLoss / length : rowLoss;
  }
  const divisor = c.normalizer ?? (c.aggregate === undefined || c.aggregate === "token-mean" ? tokens : rows);
  return { loss: tokens ? loss / divisor : 0, clipFraction: clipped / tokens, approxKl: approxKl / tokens, ratioMax, kl: kl / tokens };
}

function rowScores(prm: Numbers, ref: Numbers, offsets: Numbers, beta: number): number[] {
  return Array.from({ length: offsets.length - 1 }, (_, row) => {
    let sum = 0;
    for (let t = offsets[row]; t < offsets[row + 1]; t++) sum += prm[t] === ref[t] ? 0 : prm[t] - ref[t];
    return beta * sum;
  });
}

const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

export function crossEntropyReference(prm: Numbers, ref: Numbers, offsets: Numbers, labels: Numbers, beta: number, normalizer?: number) {
  const scores = rowScores(prm, ref, offsets, beta);
  let loss = 0;
  let correct = 0;
  scores.forEach((score, i) => {
    if (labels[i] > 0) loss += labels[i] * softplus(-score);
    if (labels[i] < 1) loss += (1 - labels[i]) * softplus(score);
    if (Math.sign(score) === Math.sign(2 * labels[i] - 1)) correct++;
  });
  return { loss: loss / (normalizer ?? scores.length), probabilities: scores.map((s) => 1 / (1 + Math.exp(-s))), accuracy: correct / scores.length };
}

/** Opponents are constants: pass `groupScores` to differentiate, as the gradient runs through a row's own score only. */
export function dpoReference(
  prm: Numbers,
  ref: Numbers,
  offsets: Numbers,
  labels: Numbers,
  groupOffsets: Numbers,
  beta: number,
  groupScores?: Numbers,
): number {
  const scores = rowScores(prm, ref, offsets, beta);
  const opponents = groupScores ?? scores;
  let loss = 0;
  for (let p = 0; p + 1 < groupOffsets.length; p++) {
    for (let i = groupOffsets[p]; i < groupOffsets[p + 1]; i++) {
      let sum = 0;
      let count = 0;
      for (let j = groupOffsets[p]; j < groupOffsets[p + 1]; j++) {
        if (labels[i] > 0 ? labels[j] < labels[i] : labels[j] > labels[i]) {
          sum += opponents[j];
          count++;
        }
      }
      const margin = (labels[i] > 0 ? 1 : -1) * (scores[i] - (count ? sum / count : 0));
      loss += softplus(-margin);
    }
  }
  return loss / scores.length;
}
