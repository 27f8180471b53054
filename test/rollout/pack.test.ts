import { describe, expect, test } from "bun:test";
import { gather, packRows, range, responseOffsets, scatter, splitByTokens } from "../../ts/rollout/pack.ts";
import { Random } from "../support/random.ts";

const row = (prompt: number[], response: number[]) => ({ prompt: Int32Array.from(prompt), response: Int32Array.from(response) });
const ROWS = [row([1, 2], [3]), row([4], [5, 6, 7]), row([8, 9, 10], [])];

test("packRows puts prompts and responses end to end and marks the prompts", () => {
  const batch = packRows(ROWS);
  expect(Array.from(batch.tokens)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(Array.from(batch.offsets)).toEqual([0, 3, 7, 10]);
  expect(Array.from(batch.promptLengths ?? [])).toEqual([2, 1, 3]);
  expect(Array.from(responseOffsets(ROWS))).toEqual([0, 1, 4, 4]);
});

test("packRows refuses an empty prompt and says which", () => {
  expect(() => packRows([ROWS[0], row([], [1])])).toThrow(/rows\[1\]\.prompt must be at least one token/);
});

describe("splitByTokens", () => {
  test("fills micro-batches up to the budget, in order; a longer row stands alone", () => {
    expect(splitByTokens(ROWS, [0, 1, 2], 7)).toEqual([[0, 1], [2]]);
    expect(splitByTokens(ROWS, [2, 0, 1], 6)).toEqual([[2, 0], [1]]);
    expect(splitByTokens(ROWS, [0, 1, 2], 1)).toEqual([[0], [1], [2]]);
    expect(splitByTokens(ROWS, [], 10)).toEqual([]);
  });

  test("keeps units together", () => {
    const rows = [...ROWS, ROWS[0]];
    expect(splitByTokens(rows, [0, 1, 2, 3], 7, 2)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(splitByTokens(rows, [0, 1, 2, 3], 6, 2)).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });
});

test("scatter undoes gather, for any rows in any order", () => {
  const random = new Random(1);
  const lengths = range(9).map(() => random.integer(0, 4));
  const offsets = responseOffsets(lengths.map((n) => row([1], new Array(n).fill(1))));
  const values = random.normals(offsets[9]);
  const target = new Float32Array(values.length);
  const order = [4, 0, 8, 2, 1, 7, 3, 6, 5];
  for (const part of [order.slice(0, 4), order.slice(4)]) scatter(target, offsets, part, gather(values, offsets, part));
  expect(Array.from(target)).toEqual(Array.from(values));
});
