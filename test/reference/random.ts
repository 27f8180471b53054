// Seeded random data for tests (mulberry32), and tolerances.
import { expect } from "bun:test";

export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed >>> 0;
  }
  /** Uniform in [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
  }
  normals(length: number, scale = 1, shift = 0): Float32Array {
    return Float32Array.from({ length }, () => shift + scale * this.normal());
  }
  /** Plausible log-probs: negative, a few nats. */
  logprobs(length: number): Float32Array {
    return Float32Array.from({ length }, () => Math.log(1 - this.next()) - 0.01);
  }
  tokens(length: number, vocabSize: number): Int32Array {
    return Int32Array.from({ length }, () => this.integer(0, vocabSize - 1));
  }
  /** Offsets of rows with lengths from low to high. */
  offsets(rows: number, low: number, high: number): Int32Array {
    return offsetsFrom(Array.from({ length: rows }, () => this.integer(low, high)));
  }
}

export function offsetsFrom(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1);
  for (let i = 0; i < lengths.length; i++) offsets[i + 1] = offsets[i] + lengths[i];
  return offsets;
}

/** Largest |a - b| over the largest |b| (at least `floor`). NaN and infinities must agree in place. */
export function relativeError(actual: ArrayLike<number>, wanted: ArrayLike<number>, floor = 1e-30): number {
  expect(actual.length).toBe(wanted.length);
  let scale = floor;
  let worst = 0;
  for (let i = 0; i < wanted.length; i++) if (Number.isFinite(wanted[i])) scale = Math.max(scale, Math.abs(wanted[i]));
  for (let i = 0; i < wanted.length; i++) {
    if (Object.is(actual[i], wanted[i]) || actual[i] === wanted[i]) continue;
    const error = Math.abs(actual[i] - wanted[i]);
    if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  }
  return worst / scale;
}

export function expectClose(actual: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-5): void {
  expect(relativeError(actual, wanted)).toBeLessThanOrEqual(tolerance);
}

/** Central differences of f at x, element by element; x is restored. */
export function finiteDifferences(f: () => number, x: Float64Array, step = 1e-5): Float64Array {
  return x.map((_, i) => {
    const value = x[i];
    x[i] = value + step;
    const above = f();
    x[i] = value - step;
    const below = f();
    x[i] = value;
    return (above - below) / (2 * step);
  });
}

/** The same bits? */
export function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.compare(Buffer.from(a.buffer, a.byteOffset, a.byteLength), Buffer.from(b.buffer, b.byteOffset, b.byteLength)) === 0;
}

/** A copy at an odd multiple of the element size into a larger buffer, shared or not. */
export function atOddOffset<T extends Float32Array | Float64Array | Int32Array | Uint16Array>(values: T, shared = false): T {
  const size = values.BYTES_PER_ELEMENT;
  const buffer = shared ? new SharedArrayBuffer(values.byteLength + 3 * size) : new ArrayBuffer(values.byteLength + 3 * size);
  const copy = new (values.constructor as new (b: ArrayBufferLike, o: number, n: number) => T)(buffer, size, values.length);
  copy.set(values as never);
  return copy;
}
