// What the op tests share: the addon's ops, both activation types with their tolerances, rounding to bfloat16.
import { native } from "../../ts/native/addon.ts";
import { relativeError } from "../support/compare.ts";

export const ops = native().ops;

export interface Precision {
  dtype: "float32" | "bfloat16";
  /** Allowed relative error (Euclidean norms): float32 rounding of a sum, or the rounding of a bfloat16 result (2^-9 at most, 2^-9/sqrt(3) on average) and of intermediate ones. */
  tolerance: number;
  /** What the op sees of an input of type T. */
  round: (x: Float32Array) => Float32Array;
}

export const PRECISIONS: Precision[] = [
  { dtype: "float32", tolerance: 2e-6, round: (x) => x },
  { dtype: "bfloat16", tolerance: 4e-3, round: toBfloat16 },
];

export function toBfloat16(x: Float32Array): Float32Array {
  const words = new Uint32Array(x.slice().buffer);
  for (let i = 0; i < words.length; i++) words[i] = (words[i] + 0x7fff + ((words[i] >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(words.buffer);
}

/** Norm-wise within `tolerance`, and no element off by more than 40 times that of the root mean square (so none is plainly wrong). */
export function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  if (actual.length !== expected.length) throw new Error(`${what} has ${actual.length} elements, expected ${expected.length}`);
  const error = relativeError(actual, expected);
  if (!(error <= tolerance)) throw new Error(`${what}: relative error ${error}, allowed ${tolerance}`);
  let squares = 0;
  for (let i = 0; i < expected.length; i++) squares += expected[i] ** 2;
  const floor = Math.sqrt(squares / Math.max(1, expected.length));
  for (let i = 0; i < expected.length; i++) {
    const allowed = 40 * tolerance * Math.max(floor, Math.abs(expected[i]));
    if (!(Math.abs(actual[i] - expected[i]) <= allowed)) throw new Error(`${what}[${i}] is ${actual[i]}, expected ${expected[i]} within ${allowed}`);
  }
}
