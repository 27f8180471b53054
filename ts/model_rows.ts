// Rows of tokens, packed one after the other: tokens [N], and offsets [B+1] where rows begin and end.

/** Offsets [B+1] of the scored tokens: row i has max(0, length_i - promptLengths[i]) of them. */
export function scoredOffsets(offsets: Int32Array, promptLengths: Int32Array): Int32Array {
  const scored = new Int32Array(offsets.length);
  for (let i = 0; i + 1 < offsets.length; i++) scored[i + 1] = scored[i] + Math.max(0, offsets[i + 1] - offsets[i] - promptLengths[i]);
  return scored;
}

/** Packs rows of token ids: tokens [N], offsets [B+1]. */
export function pack(rows: readonly ArrayLike<number>[]): { tokens: Int32Array; offsets: Int32Array } {
  const offsets = new Int32Array(rows.length + 1);
  rows.forEach((row, i) => {
    offsets[i + 1] = offsets[i] + row.length;
  });
  const tokens = new Int32Array(offsets[rows.length]);
  rows.forEach((row, i) => {
    tokens.set(row, offsets[i]);
  });
  return { tokens, offsets };
}
