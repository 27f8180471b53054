import { describe, expect, test } from "bun:test";
import { cut, groupMinibatches, permutation } from "../../ts/algo/shuffle.ts";

describe("permutation", () => {
  test("holds every index once, for many sizes and keys", () => {
    for (let n = 0; n < 40; n++) expect(permutation(n, 7, n).sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
  });

  test("depends on every part of the key, and on nothing else", () => {
    expect(permutation(20, 1, 2, 3)).toEqual(permutation(20, 1, 2, 3));
    const orders = new Set(
      [permutation(20, 1, 2, 3), permutation(20, 1, 2, 4), permutation(20, 1, 3, 2), permutation(20, 2, 2, 3), permutation(20, 1, 2)].map(String),
    );
    expect(orders.size).toBe(5);
  });

  test("puts each item everywhere about equally often", () => {
    const counts = new Array(5).fill(0);
    for (let key = 0; key < 5000; key++) counts[permutation(5, key).indexOf(2)]++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150); // 5 standard deviations are 141
  });
});

test("cut keeps order and balances the parts", () => {
  expect(cut([1, 2, 3, 4, 5], 2)).toEqual([
    [1, 2],
    [3, 4, 5],
  ]);
  expect(cut([1, 2], 4)).toEqual([[1], [2]]);
});

test("groupMinibatches keeps groups whole, uses each row once, and leaves the order alone for one minibatch", () => {
  expect(groupMinibatches(6, 2, 1, 9)).toEqual([[0, 1, 2, 3, 4, 5]]);
  const parts = groupMinibatches(24, 4, 3, 9);
  expect(parts.map((part) => part.length)).toEqual([8, 8, 8]);
  expect(parts.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 24 }, (_, i) => i));
  for (const part of parts) for (let i = 0; i < part.length; i += 4) expect(part.slice(i, i + 4)).toEqual([0, 1, 2, 3].map((k) => part[i] + k));
  for (const part of parts) for (let i = 0; i < part.length; i += 4) expect(part[i] % 4).toBe(0);
});
