// Deterministic orders: a permutation is a pure function of its key.

/** A permutation of 0 … n-1 that depends on the key alone (Fisher-Yates over a counter-based hash). */
export function permutation(n: number, ...key: number[]): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  let state = 0x9e3779b9;
  for (const part of key) state = mix(state ^ mix(part >>> 0));
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor((mix(state + Math.imul(i, 0x9e3779b9)) / 2 ** 32) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Cuts `items` into `parts` runs whose lengths differ by at most one; empty runs are left out. */
export function cut<T>(items: readonly T[], parts: number): T[][] {
  const runs = Array.from({ length: parts }, (_, k) => items.slice(Math.floor((k * items.length) / parts), Math.floor(((k + 1) * items.length) / parts)));
  return runs.filter((run) => run.length > 0);
}

/** Row indices of `parts` minibatches of whole groups, in an order that depends on the key alone; one minibatch keeps the order given. */
export function groupMinibatches(rows: number, groupSize: number, parts: number, ...key: number[]): number[][] {
  const groups = rows / groupSize;
  const order = parts === 1 ? Array.from({ length: groups }, (_, g) => g) : permutation(groups, ...key);
  return cut(order, parts).map((run) => run.flatMap((group) => Array.from({ length: groupSize }, (_, i) => group * groupSize + i)));
}

// --- internal ---

/** A bijective 32-bit finaliser (murmur3's constants). */
function mix(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
