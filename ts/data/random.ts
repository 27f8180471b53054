// Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): randomness as a function of a counter and a key.

type Words = [number, number, number, number]; // unsigned 32-bit

/** Four random words for a counter and a key (all unsigned 32-bit). */
export function philox4x32(counter: Readonly<Words>, key: readonly [number, number]): Words {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = mulHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** The draws that belong to one (seed, stream, index, attempt), in order. Seed and index are integers in 0 .. 2^53-1. */
export class Draws {
  readonly #key: [number, number];
  readonly #counter: Words;
  #words: Words | undefined;
  #used = 4;

  constructor(seed: number, stream: number, index: number, attempt = 0) {
    this.#key = [seed >>> 0, Math.floor(seed / 2 ** 32)];
    this.#counter = [(attempt << 8) >>> 0, index >>> 0, Math.floor(index / 2 ** 32), stream >>> 0];
  }

  /** Uniform in 0 .. 2^32-1. */
  next(): number {
    if (this.#used === 4 || !this.#words) {
      this.#words = philox4x32(this.#counter, this.#key);
      this.#counter[0] = (this.#counter[0] + 1) >>> 0;
      this.#used = 0;
    }
    return this.#words[this.#used++];
  }

  /** A uniform integer in low .. high, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor((this.next() / 2 ** 32) * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() / 2 ** 32 < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.integer(0, items.length - 1)];
  }
}

// --- internal ---

/** Upper 32 bits of the 64-bit product of two unsigned 32-bit integers, in doubles: each partial product stays below 2^53. */
function mulHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + Math.floor((aLow * bLow) / 65536);
  const middle2 = aLow * bHigh + (middle % 65536);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(middle2 / 65536)) >>> 0;
}
