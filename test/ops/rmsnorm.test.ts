import { describe, expect, test } from "bun:test";
import { numericalGradient, rmsnorm } from "../reference/layers.ts";
import { Random } from "../support/random.ts";
import { expectNear, ops, PRECISIONS } from "./support.ts";

const EPS = 1e-6;
const SIZES: [number, number][] = [
  [0, 8],
  [1, 2],
  [1, 127],
  [31, 33],
  [33, 31],
  [130, 24],
];

for (const { dtype, tolerance, round } of PRECISIONS) {
  describe(`rmsnorm ${dtype}`, () => {
    for (const [n, c] of SIZES) {
      test(`forward [${n}, ${c}], alone and with the residual added first`, async () => {
        const random = new Random(n + c);
        const x = random.normals(n * c);
        const delta = random.normals(n * c);
        const weight = random.normals(c);
        const plain = await ops.rmsnormForward({ n, c, eps: EPS, x, weight, dtype });
        expectNear(plain.normed, rmsnorm(x, weight, EPS), tolerance, "normed");
        expect(plain.xOut).toEqual(x);
        const seen = round(delta);
        const sum = x.map((v, i) => v + seen[i]);
        const added = await ops.rmsnormForward({ n, c, eps: EPS, x, delta, weight, dtype });
        expectNear(added.xOut, sum, 1e-7, "xOut");
        expectNear(added.normed, rmsnorm(sum, weight, EPS), tolerance, "normed of the sum");
      });

      test(`backward [${n}, ${c}] equals finite differences and accumulates`, async () => {
        const random = new Random(n + c + 1);
        const x = random.normals(n * c);
        const weight = random.normals(c);
        const dNormed = random.normals(n * c);
        const seen = round(dNormed);
        const dX = random.normals(n * c);
        const dWeight = random.normals(c);
        const { rstd } = await ops.rmsnormForward({ n, c, eps: EPS, x, weight, dtype: "float32" });
        const result = await ops.rmsnormBackward({ n, c, dX, dWeight, dNormed, x, weight, rstd, dtype });
        // Of large inputs a sample of elements: each costs two evaluations of the whole function.
        const some = x.length > 400 ? Int32Array.from({ length: 200 }, () => random.integer(0, x.length)) : Int32Array.from(x.keys());
        const expected = numericalGradient(x, seen, (v) => rmsnorm(v, weight, EPS), some);
        expectNear(
          Array.from(some, (i) => result.dX[i] - dX[i]),
          expected,
          1e-5,
          "dX",
        );
        expectNear(result.dXCast, round(result.dX), 1e-7, "dXCast");
        const expectedWeight = numericalGradient(weight, seen, (w) => rmsnorm(x, w, EPS));
        expectNear(
          result.dWeight.map((g, j) => g - dWeight[j]),
          expectedWeight,
          1e-5,
          "dWeight",
        );
      });
    }

    test("a row of zeros is normed to zeros", async () => {
      const { normed, rstd } = await ops.rmsnormForward({ n: 1, c: 5, eps: EPS, x: new Float32Array(5), weight: new Float32Array(5).fill(2), dtype });
      expect(Array.from(normed)).toEqual([0, 0, 0, 0, 0]);
      expect(rstd[0]).toBeCloseTo(1000, 0);
    });
  });
}
