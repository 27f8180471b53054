// The order of rows: a bijection per (seed, epoch), evenly spread, and the same whatever was asked before.
import { describe, expect, test } from "bun:test";
import { rowAt, rowOf } from "../../ts/data/order.ts";

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const epochOf = (seed: number, epoch: number, size: number) => range(size).map((position) => rowAt(seed, epoch, position, size));

describe("a permutation", () => {
  for (const size of [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 100, 255, 256, 257, 1000, 4096, 7473]) {
    test(`of ${size} rows`, () => {
      for (const seed of [1, 2 ** 53 - 1]) for (const epoch of [0, 1]) expect(epochOf(seed, epoch, size).sort((a, b) => a - b)).toEqual(range(size));
    });
  }

  test("of more rows than fit anywhere: distinct, in range", () => {
    const size = 2 ** 47 + 12345;
    const rows = range(5000).map((position) => rowAt(3, 0, position, size));
    expect(new Set(rows).size).toBe(5000);
    expect(rows.every((row) => Number.isSafeInteger(row) && row >= 0 && row < size)).toBe(true);
    expect(Math.max(...rows)).toBeGreaterThan(size * 0.99);
  });
});

test("every seed, epoch and stream has an order of its own", () => {
  const orders = [epochOf(1, 0, 500), epochOf(2, 0, 500), epochOf(1, 1, 500), epochOf(1 + 2 ** 32, 0, 500), range(500).map((p) => rowAt(1, 0, p, 500, 1))];
  for (const [i, a] of orders.entries()) for (const b of orders.slice(i + 1)) expect(a.filter((row, position) => row === b[position]).length).toBeLessThan(12); // 1 expected
});

test("evenly spread: every row is as likely at every position, and neighbours are unrelated", () => {
  const size = 12;
  const keys = 3000;
  const counts = range(size * size).map(() => 0);
  const followed = range(size * size).map(() => 0);
  for (let seed = 0; seed < keys; seed++) {
    const order = epochOf(seed, 0, size);
    order.forEach((row, position) => {
      counts[position * size + row]++;
      if (position > 0) followed[order[position - 1] * size + row]++;
    });
  }
  const chi2 = (observed: number[], expected: number) => observed.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(chi2(counts, keys / size)).toBeLessThan(121 + 6 * Math.sqrt(2 * 121)); // 121 degrees of freedom, 6 standard deviations
  const pairs = followed.filter((_, i) => Math.floor(i / size) !== i % size);
  expect(chi2(pairs, keys / size)).toBeLessThan(131 + 6 * Math.sqrt(2 * 131));
});

test("no trace of the file's order in a long epoch", () => {
  const order = epochOf(5, 3, 7473);
  const mean = (7473 - 1) / 2;
  let covariance = 0;
  let variance = 0;
  order.forEach((row, position) => {
    covariance += (row - mean) * (position - mean);
    variance += (position - mean) ** 2;
  });
  expect(Math.abs(covariance / variance)).toBeLessThan(5 / Math.sqrt(7473));
  expect(order.filter((row, i) => i > 0 && Math.abs(row - order[i - 1]) === 1).length).toBeLessThan(15); // 2 expected
});

test("rowOf runs on over epochs, and does not depend on what was asked before", () => {
  const forwards = range(300).map((index) => rowOf(9, index, 100));
  const backwards = range(300)
    .map((i) => rowOf(9, 299 - i, 100))
    .reverse();
  expect(backwards).toEqual(forwards);
  expect(forwards.slice(100, 200)).toEqual(epochOf(9, 1, 100));
  for (const epoch of range(3)) expect(forwards.slice(100 * epoch, 100 * epoch + 100).sort((a, b) => a - b)).toEqual(range(100));
});

test("bad arguments", () => {
  expect(() => rowAt(0, 0, 5, 5)).toThrow("position must be an integer in 0 .. 4, but got 5.");
  expect(() => rowAt(0, 0, 0, 0)).toThrow("size must be an integer in 1 .. 2^48, but got 0.");
  expect(() => rowOf(0, -1, 5)).toThrow("index must be a non-negative integer, but got -1.");
});
