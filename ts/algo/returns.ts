// Group and return arithmetic over packed tokens, in float64: plain TypeScript, as the arrays are small next to the model's work.

/** Reverse discounted sums inside each row: out[t] = values[t] + gamma * out[t+1]. */
export function discountedReturns(values: ArrayLike<number>, offsets: Int32Array, gamma: number): Float64Array /* [N] */ {
  const returns = new Float64Array(values.length);
  for (let row = 0; row + 1 < offsets.length; row++) {
    let sum = 0;
    for (let t = offsets[row + 1] - 1; t >= offsets[row]; t--) {
      sum = values[t] + gamma * sum;
      returns[t] = sum;
    }
  }
  return returns;
}

/** A per-row value placed on the last token of its row, 0 elsewhere. Empty rows place nothing. */
export function atLastToken(values: ArrayLike<number> /* [B] */, offsets: Int32Array): Float64Array /* [N] */ {
  const placed = new Float64Array(offsets[offsets.length - 1]);
  for (let row = 0; row + 1 < offsets.length; row++) if (offsets[row + 1] > offsets[row]) placed[offsets[row + 1] - 1] = values[row];
  return placed;
}

/** Mean over the tokens of each row; 0 for an empty row. */
export function rowMeans(values: ArrayLike<number>, offsets: Int32Array): Float64Array /* [B] */ {
  const means = new Float64Array(offsets.length - 1);
  for (let row = 0; row < means.length; row++) {
    for (let t = offsets[row]; t < offsets[row + 1]; t++) means[row] += values[t];
    means[row] /= Math.max(1, offsets[row + 1] - offsets[row]);
  }
  return means;
}

/** Mean and unbiased standard deviation of each group of `groupSize` consecutive rows (deviation 0 for a group of one). */
export function groupMoments(values: ArrayLike<number> /* [B] */, groupSize: number): { mean: Float64Array; deviation: Float64Array } /* [B/G] each */ {
  const groups = values.length / groupSize;
  const mean = new Float64Array(groups);
  const deviation = new Float64Array(groups);
  for (let g = 0; g < groups; g++) {
    for (let i = 0; i < groupSize; i++) mean[g] += values[g * groupSize + i] / groupSize;
    for (let i = 0; i < groupSize; i++) deviation[g] += (values[g * groupSize + i] - mean[g]) ** 2;
    deviation[g] = Math.sqrt(deviation[g] / Math.max(1, groupSize - 1));
  }
  return { mean, deviation };
}

/** (x - mean) / sqrt(unbiased variance + 1e-8) over all tokens; the kernel's whitening. Fewer than two tokens only lose their mean. */
export function whiten(values: Float64Array): Float64Array {
  if (values.length === 0) return values;
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, values.length - 1);
  const scale = 1 / Math.sqrt(variance + 1e-8);
  return values.map((x) => (x - mean) * scale);
}
