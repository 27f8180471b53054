// The order of training rows: a pure function of (seed, epoch, position). Nothing is shuffled or kept, so a run resumes anywhere without replay.
import { rangeError } from "../errors.ts";
import { philox4x32 } from "./random.ts";

const ROUNDS = 8;
const MAX_SIZE = 2 ** 48;

/**
 * The row at a position of an epoch: for each (seed, epoch), position 0 … size-1 visits every row 0 … size-1 exactly once.
 * A Feistel network over the next power of two, keyed by seed, epoch and stream; values beyond `size` are sent through again (cycle walking).
 * Seed and epoch are integers in 0 .. 2^53-1 and 0 .. 2^32-1; `stream` separates uses of one seed.
 */
export function rowAt(seed: number, epoch: number, position: number, size: number, stream = 0): number {
  if (!Number.isSafeInteger(size) || size < 1 || size > MAX_SIZE) throw rangeError("size", "an integer in 1 .. 2^48", size);
  if (!Number.isSafeInteger(position) || position < 0 || position >= size) throw rangeError("position", `an integer in 0 .. ${size - 1}`, position);
  const bits = Math.max(2, Math.ceil(Math.log2(size)));
  let value = position;
  do value = permute(value, bits, seed, epoch, stream);
  while (value >= size);
  return value;
}

/** The row at an index that runs on over epochs: 0 … size-1 is the first epoch, and so on. */
export function rowOf(seed: number, index: number, size: number, stream = 0): number {
  if (!Number.isSafeInteger(index) || index < 0) throw rangeError("index", "a non-negative integer", index);
  return rowAt(seed, Math.floor(index / size), index % size, size, stream);
}

// --- internal ---

/** A permutation of 0 .. 2^bits-1: the low half is masked by a keyed function of the high half, then the halves change places. */
function permute(value: number, bits: number, seed: number, epoch: number, stream: number): number {
  let lowBits = Math.floor(bits / 2);
  let highBits = bits - lowBits;
  let low = value % 2 ** lowBits;
  let high = Math.floor(value / 2 ** lowBits);
  const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32)];
  for (let round = 0; round < ROUNDS; round++) {
    const [mask] = philox4x32([high, epoch >>> 0, round, stream >>> 0], key);
    const mixed = (low ^ (mask >>> (32 - lowBits))) >>> 0;
    [low, high] = [high, mixed];
    [lowBits, highBits] = [highBits, lowBits];
  }
  return high * 2 ** lowBits + low;
}
