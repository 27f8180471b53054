import { describe, expect, test } from "bun:test";
import { attention, type Heads, numericalGradient } from "../reference/layers.ts";
import { expectIdentical } from "../support/compare.ts";
import { Random } from "../support/random.ts";
import { expectNear, ops, PRECISIONS } from "./support.ts";

const LENGTHS = [1, 0, 31, 33, 2, 127];
const SHAPES: Heads[] = [
  { heads: 1, kvHeads: 1, headSize: 2 },
  { heads: 4, kvHeads: 2, headSize: 16 },
  { heads: 6, kvHeads: 2, headSize: 24 },
  { heads: 14, kvHeads: 2, headSize: 64 },
  { heads: 3, kvHeads: 3, headSize: 128 },
  { heads: 7, kvHeads: 1, headSize: 10 },
];

const offsetsOf = (lengths: number[]) => Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))]);
const widthOf = (shape: Heads) => (shape.heads + 2 * shape.kvHeads) * shape.headSize;

for (const { dtype, tolerance, round } of PRECISIONS) {
  describe(`attention ${dtype}`, () => {
    for (const shape of SHAPES) {
      test(`forward ${JSON.stringify(shape)}, rows of ${LENGTHS}`, async () => {
        const offsets = offsetsOf(LENGTHS);
        const n = offsets[LENGTHS.length];
        const qkv = new Random(shape.headSize).normals(n * widthOf(shape));
        const { out, lse } = await ops.attentionForward({ n, ...shape, qkv, offsets, dtype });
        const expected = attention(round(qkv), offsets, shape);
        expectNear(out, expected.out, tolerance, "out");
        expectNear(lse, expected.lse, 2e-6, "lse");
      });

      test(`backward ${JSON.stringify(shape)} equals finite differences`, async () => {
        const lengths = [5, 0, 1, 9];
        const offsets = offsetsOf(lengths);
        const n = offsets[lengths.length];
        const random = new Random(shape.headSize + 1);
        const qkv = random.normals(n * widthOf(shape));
        const dOut = random.normals(n * shape.heads * shape.headSize);
        const { out, lse } = await ops.attentionForward({ n, ...shape, qkv, offsets, dtype });
        const { dQkv } = await ops.attentionBackward({ n, ...shape, dOut, out, lse, qkv, offsets, dtype });
        const some = Int32Array.from({ length: 150 }, () => random.integer(0, qkv.length));
        const expected = numericalGradient(round(qkv), round(dOut), (x) => attention(x, offsets, shape).out, some);
        expectNear(
          Array.from(some, (i) => dQkv[i]),
          expected,
          dtype === "float32" ? 1e-5 : 1e-2,
          "dQkv",
        );
      });
    }

    test("backward over several blocks of queries, by the slope along random directions", async () => {
      const shape = { heads: 4, kvHeads: 2, headSize: 16 };
      const offsets = offsetsOf([100, 33]);
      const random = new Random(5);
      const qkv = random.normals(133 * widthOf(shape));
      const dOut = random.normals(133 * shape.heads * shape.headSize);
      const { out, lse } = await ops.attentionForward({ n: 133, ...shape, qkv, offsets, dtype });
      const { dQkv } = await ops.attentionBackward({ n: 133, ...shape, dOut, out, lse, qkv, offsets, dtype });
      const point = round(qkv);
      const seen = round(dOut);
      const size = Math.sqrt(dQkv.reduce((sum, g) => sum + g * g, 0));
      for (let trial = 0; trial < 4; trial++) {
        const direction = Float64Array.from(dQkv, (g) => (random.uniform() < 0.5 ? g / size : 0));
        const at = (h: number) =>
          attention(
            Float64Array.from(point, (x, i) => x + h * direction[i]),
            offsets,
            shape,
          ).out.reduce((sum, o, i) => sum + o * seen[i], 0);
        const slope = (at(1e-4) - at(-1e-4)) / 2e-4;
        const along = direction.reduce((sum, d, i) => sum + dQkv[i] * d, 0);
        expect(Math.abs(slope - along)).toBeLessThan((dtype === "float32" ? 1e-5 : 1e-2) * size);
      }
    });

    test("rows do not see each other", async () => {
      const shape = { heads: 4, kvHeads: 2, headSize: 16 };
      const random = new Random(6);
      const qkv = random.normals(64 * widthOf(shape));
      const both = await ops.attentionForward({ n: 64, ...shape, qkv, offsets: Int32Array.of(0, 40, 64), dtype });
      const second = await ops.attentionForward({ n: 24, ...shape, qkv: qkv.slice(40 * widthOf(shape)), offsets: Int32Array.of(0, 24), dtype });
      expectIdentical(both.out.slice(40 * 64), second.out);
    });

    test("scores far apart neither overflow nor become NaN", async () => {
      const shape = { heads: 2, kvHeads: 1, headSize: 8 };
      const offsets = Int32Array.of(0, 20);
      const qkv = new Random(7).normals(20 * widthOf(shape), 60);
      const { out } = await ops.attentionForward({ n: 20, ...shape, qkv, offsets, dtype });
      expectNear(out, attention(round(qkv), offsets, shape).out, Math.max(tolerance, 1e-4), "out");
    });
  });

  describe(`decodeAttention ${dtype}`, () => {
    for (const shape of SHAPES) {
      test(`${JSON.stringify(shape)}: token by token, after a prompt or none, it equals attention`, async () => {
        const n = 35;
        const qkv = new Random(shape.headSize + 2).normals(n * widthOf(shape));
        const expected = attention(round(qkv), Int32Array.of(0, n), shape).out;
        const width = shape.heads * shape.headSize;
        for (const [filled, copies] of [
          [0, 1],
          [1, 2],
          [16, 3],
          [33, 1],
        ]) {
          const { out } = await ops.decodeAttention({ n, filled, copies, ...shape, qkv, dtype });
          expectNear(out, expected.subarray(filled * width), tolerance, `after ${filled} tokens, ${copies} slots`);
        }
      });
    }
  });
}
