import { describe, expect, test } from "bun:test";
import { type Heads, rope } from "../reference/layers.ts";
import { Random } from "../support/random.ts";
import { expectNear, ops, PRECISIONS } from "./support.ts";

const THETA = 10000;

/** [rows, HD]: HD/2 cosines, then HD/2 sines of position * theta^(-2d/HD). */
function table(rows: number, headSize: number): Float32Array {
  const half = headSize / 2;
  const angle = (i: number) => Math.floor(i / headSize) * THETA ** ((-2 * (i % half)) / headSize);
  return Float32Array.from({ length: rows * headSize }, (_, i) => (i % headSize < half ? Math.cos(angle(i)) : Math.sin(angle(i))));
}

const SHAPES: Heads[] = [
  { heads: 1, kvHeads: 1, headSize: 2 },
  { heads: 4, kvHeads: 2, headSize: 16 },
  { heads: 6, kvHeads: 2, headSize: 24 },
  { heads: 14, kvHeads: 2, headSize: 64 },
  { heads: 2, kvHeads: 1, headSize: 128 },
];

for (const { dtype, tolerance, round } of PRECISIONS) {
  describe(`rope ${dtype}`, () => {
    for (const shape of SHAPES) {
      test(`${JSON.stringify(shape)}: rotates q and k, leaves v, and its inverse undoes it`, async () => {
        const n = 33;
        const random = new Random(shape.heads);
        const qkv = random.normals(n * (shape.heads + 2 * shape.kvHeads) * shape.headSize);
        const positions = random.integers(n, 0, 200);
        const args = { n, ...shape, tableRows: 200, table: table(200, shape.headSize), positions, dtype };
        const rotated = (await ops.rope({ ...args, qkv })).qkv;
        expectNear(rotated, rope(round(qkv), positions, shape, THETA), tolerance, "rotated");
        const back = (await ops.rope({ ...args, qkv: rotated, inverse: true })).qkv;
        expectNear(back, qkv, 2 * tolerance, "rotated back");
        const v = (shape.heads + shape.kvHeads) * shape.headSize;
        expect(rotated.slice(v, v + shape.kvHeads * shape.headSize)).toEqual(round(qkv).slice(v, v + shape.kvHeads * shape.headSize));
      });
    }

    test("no tokens", async () => {
      const none = await ops.rope({
        n: 0,
        heads: 2,
        kvHeads: 1,
        headSize: 8,
        tableRows: 1,
        table: table(1, 8),
        positions: new Int32Array(0),
        qkv: new Float32Array(0),
        dtype,
      });
      expect(none.qkv.length).toBe(0);
    });
  });
}
