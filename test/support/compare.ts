// Comparisons of arrays whose failures say where and by how much.
import { expect } from "bun:test";

/** |a - b| / |b|, Euclidean norms; 0 when both are all zero. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / size);
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < b.length; i++) worst = Math.max(worst, difference(a[i], b[i]));
  return worst;
}

/** Every element within `absolute` of the expected one. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, absolute: number, what = "values"): void {
  expectLength(actual, expected, what);
  for (let i = 0; i < expected.length; i++) {
    if (!(difference(actual[i], expected[i]) <= absolute)) throw new Error(`${what}[${i}] is ${actual[i]}, expected ${expected[i]} within ${absolute}`);
  }
  expect(actual.length).toBe(expected.length);
}

/** Norm-wise within `relative`, and every element within `relative` of itself or of the tensor's root mean square, whichever is larger. */
export function expectRelative(actual: ArrayLike<number>, expected: ArrayLike<number>, relative: number, what = "tensor"): void {
  expectLength(actual, expected, what);
  const error = relativeError(actual, expected);
  if (!(error <= relative)) throw new Error(`${what}: relative error ${error}, allowed ${relative}`);
  let squares = 0;
  for (let i = 0; i < expected.length; i++) squares += expected[i] ** 2;
  const rms = Math.sqrt(squares / Math.max(1, expected.length));
  for (let i = 0; i < expected.length; i++) {
    const allowed = relative * Math.max(rms, Math.abs(expected[i]));
    if (!(difference(actual[i], expected[i]) <= allowed)) throw new Error(`${what}[${i}] is ${actual[i]}, expected ${expected[i]} within ${allowed}`);
  }
  expect(error).toBeLessThanOrEqual(relative);
}

/** The same bits in every element (so NaN equals NaN and 0 differs from -0). */
export function expectIdentical(actual: Float32Array | Int32Array, expected: Float32Array | Int32Array, what = "values"): void {
  expectLength(actual, expected, what);
  const a = new Uint32Array(actual.buffer, actual.byteOffset, actual.length);
  const b = new Uint32Array(expected.buffer, expected.byteOffset, expected.length);
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) throw new Error(`${what}[${i}] is ${actual[i]}, expected the same bits as ${expected[i]}`);
  expect(actual.length).toBe(expected.length);
}

/** Rejections and throws alike: the error, for further checks; fails when nothing was thrown. */
export async function errorOf(call: () => unknown): Promise<Error & { code?: string }> {
  try {
    await call();
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error(`a value that is no Error was thrown: ${String(error)}`);
  }
  throw new Error("expected an error, but the call succeeded");
}

// --- internal ---

function difference(a: number, b: number): number {
  return a === b ? 0 : Math.abs(a - b);
}

function expectLength(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  if (actual.length !== expected.length) throw new Error(`${what} has ${actual.length} elements, expected ${expected.length}`);
}
