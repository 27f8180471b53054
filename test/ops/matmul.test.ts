import { describe, expect, test } from "bun:test";
import { matmul } from "../reference/layers.ts";
import { Random } from "../support/random.ts";
import { expectNear, ops, PRECISIONS } from "./support.ts";

const SIZES: [number, number, number][] = [
  [1, 1, 1],
  [1, 33, 127],
  [31, 1, 33],
  [33, 127, 1],
  [127, 31, 64],
  [64, 128, 33],
  [5, 300, 257],
  [1030, 17, 20], // from 1,024 rows on, b is packed on the way
  [1024, 48, 33],
];

for (const { dtype, tolerance, round } of PRECISIONS) {
  describe(`matmul ${dtype}`, () => {
    for (const [m, n, k] of SIZES) {
      test(`[${m}, ${k}] @ [${k}, ${n}], every transposition, with and without bias and accumulation`, async () => {
        const random = new Random(m * 1000 + n);
        const a = random.normals(m * k);
        const b = random.normals(k * n);
        const bias = random.normals(n);
        const out = random.normals(m * n);
        for (const transposeA of [false, true]) {
          for (const transposeB of [false, true]) {
            const expected = matmul(m, n, k, round(a), transposeA, round(b), transposeB);
            const sizes = { m, n, k, a, b, transposeA, transposeB, dtype, floatOut: true };
            expectNear((await ops.matmul(sizes)).out, expected, 2e-6, "out");
            expectNear((await ops.matmul({ ...sizes, floatOut: false })).out, expected, tolerance, "out in the activation type");
            const withBias = matmul(m, n, k, round(a), transposeA, round(b), transposeB, bias);
            expectNear((await ops.matmul({ ...sizes, bias })).out, withBias, 2e-6, "out with bias");
            const added = expected.map((x, i) => x + out[i]);
            expectNear((await ops.matmul({ ...sizes, out })).out, added, 2e-6, "out accumulated");
          }
        }
      });
    }

    test("empty matrices give nothing, and K = 0 gives zeros", async () => {
      const none = new Float32Array(0);
      expect((await ops.matmul({ m: 0, n: 5, k: 3, a: none, b: new Float32Array(15), dtype })).out.length).toBe(0);
      expect((await ops.matmul({ m: 3, n: 0, k: 3, a: new Float32Array(9), b: none, dtype })).out.length).toBe(0);
      expect(Array.from((await ops.matmul({ m: 2, n: 2, k: 0, a: none, b: none, dtype })).out)).toEqual([0, 0, 0, 0]);
    });

    test("rows do not depend on how many there are", async () => {
      const random = new Random(3);
      const a = random.normals(300 * 96);
      const b = random.normals(96 * 80);
      const whole = (await ops.matmul({ m: 300, n: 80, k: 96, a, b, dtype, floatOut: true })).out;
      for (const rows of [1, 2, 17, 64, 129]) {
        const part = (await ops.matmul({ m: rows, n: 80, k: 96, a: a.slice(0, rows * 96), b, dtype, floatOut: true })).out;
        expectNear(part, whole.subarray(0, rows * 80), 1e-6, `${rows} rows`);
      }
    });

    test("the same product twice is bit-identical", async () => {
      const random = new Random(3);
      const args = { m: 129, n: 65, k: 333, a: random.normals(129 * 333), b: random.normals(333 * 65), dtype, floatOut: true };
      expect((await ops.matmul(args)).out).toEqual((await ops.matmul(args)).out);
    });

    test("columnSum accumulates the sum of the rows", async () => {
      const random = new Random(4);
      for (const [n, cols] of [
        [0, 5],
        [1, 1],
        [127, 33],
        [600, 31],
      ]) {
        const x = random.normals(n * cols);
        const start = random.normals(cols);
        const seen = round(x);
        const expected = Array.from(start, (s, j) => {
          let sum = s;
          for (let i = 0; i < n; i++) sum += seen[i * cols + j];
          return sum;
        });
        expectNear((await ops.columnSum({ n, cols, in: x, out: start, dtype })).out, expected, 2e-6, `[${n}, ${cols}]`);
      }
    });
  });
}
