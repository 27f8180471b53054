// swiglu, embedding, rows gathered and scattered.
import { describe, expect, test } from "bun:test";
import { numericalGradient, swiglu } from "../reference/layers.ts";
import { Random } from "../support/random.ts";
import { expectNear, ops, PRECISIONS } from "./support.ts";

const SIZES: [number, number][] = [
  [0, 3],
  [1, 1],
  [1, 127],
  [31, 33],
  [127, 31],
];

for (const { dtype, tolerance, round } of PRECISIONS) {
  describe(`swiglu ${dtype}`, () => {
    for (const [n, f] of SIZES) {
      test(`forward and backward [${n}, ${f}], also in place`, async () => {
        const random = new Random(n + f);
        const gateUp = random.normals(n * 2 * f, 2);
        const dOut = random.normals(n * f);
        const { out } = await ops.swigluForward({ n, f, gateUp, dtype });
        expectNear(out, swiglu(round(gateUp), f), tolerance, "out");
        const expected = numericalRows(round(gateUp), round(dOut), n, f);
        for (const inPlace of [false, true]) {
          const back = await ops.swigluBackward({ n, f, dOut, gateUp, inPlace, dtype });
          expectNear(back.dGateUp, expected, Math.max(tolerance, 1e-5), "dGateUp");
          expect(back.outAgain).toEqual(out);
        }
      });
    }

    test("gates of ±100 saturate without NaN", async () => {
      const gateUp = Float32Array.of(100, -100, 0, 3, 3, 3);
      const { out } = await ops.swigluForward({ n: 1, f: 3, gateUp, dtype });
      expect(out[0]).toBeCloseTo(300, 0);
      expect(Math.abs(out[1])).toBeLessThan(1e-30);
      expect(out[2]).toBe(0);
      const { dGateUp } = await ops.swigluBackward({ n: 1, f: 3, dOut: Float32Array.of(1, 1, 1), gateUp, dtype });
      expect(dGateUp.every(Number.isFinite)).toBe(true);
    });
  });

  describe(`rows ${dtype}`, () => {
    test("gathered with repeats, scattered into zeros", async () => {
      const random = new Random(9);
      const [n, c] = [33, 31];
      const x = random.normals(n * c);
      const seen = round(x);
      const rows = Int32Array.of(32, 0, 7, 7, 1);
      const gathered = (await ops.gatherRows({ n, c, r: 5, in: x, rows, dtype })).out;
      for (const [i, row] of rows.entries()) expect(gathered.slice(i * c, (i + 1) * c)).toEqual(seen.slice(row * c, (row + 1) * c));
      const distinct = Int32Array.of(5, 0, 32);
      const scattered = (await ops.scatterRows({ n, c, r: 3, in: x.slice(0, 3 * c), rows: distinct, dtype })).out;
      for (let row = 0; row < n; row++) {
        const from = distinct.indexOf(row);
        expect(scattered.slice(row * c, (row + 1) * c)).toEqual(from < 0 ? new Float32Array(c) : seen.slice(from * c, (from + 1) * c));
      }
    });

    test("none", async () => {
      expect((await ops.gatherRows({ n: 3, c: 2, r: 0, in: new Float32Array(6), rows: new Int32Array(0), dtype })).out.length).toBe(0);
      expect(Array.from((await ops.scatterRows({ n: 2, c: 2, r: 0, in: new Float32Array(0), rows: new Int32Array(0), dtype })).out)).toEqual([0, 0, 0, 0]);
    });
  });
}

describe("embedding", () => {
  for (const [n, c, vocab] of [
    [0, 8, 3],
    [1, 1, 1],
    [127, 33, 31],
    [600, 64, 5],
  ]) {
    test(`[${n}] of ${vocab} into ${c}: rows copied, gradients of repeated tokens summed`, async () => {
      const random = new Random(n + c);
      const tokens = random.integers(n, 0, vocab);
      const weight = random.normals(vocab * c);
      for (const { dtype, round } of PRECISIONS) {
        const rounded = round(weight);
        const { out } = await ops.embeddingForward({ n, c, vocab, tokens, weight, dtype });
        for (let i = 0; i < n; i++) expect(out.slice(i * c, (i + 1) * c)).toEqual(rounded.slice(tokens[i] * c, (tokens[i] + 1) * c));
      }
      const dOut = random.normals(n * c);
      const start = random.normals(vocab * c);
      const expected = Float64Array.from(start);
      for (let i = 0; i < n; i++) for (let j = 0; j < c; j++) expected[tokens[i] * c + j] += dOut[i * c + j];
      expectNear((await ops.embeddingBackward({ n, c, vocab, tokens, dOut, dWeight: start })).dWeight, expected, 2e-6, "dWeight");
    });
  }
});

/** Finite differences row by row, as each row is independent of the others. */
function numericalRows(gateUp: Float32Array, dOut: Float32Array, n: number, f: number): Float64Array {
  const all = new Float64Array(n * 2 * f);
  for (let i = 0; i < n; i++) {
    const row = gateUp.subarray(i * 2 * f, (i + 1) * 2 * f);
    all.set(
      numericalGradient(row, dOut.subarray(i * f, (i + 1) * f), (x) => swiglu(x, f)),
      i * 2 * f,
    );
  }
  return all;
}
