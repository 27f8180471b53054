import { describe, expect, test } from "bun:test";
import { absoluteAccuracy, pairwiseAccuracy } from "../../ts/algo/accuracy.ts";

describe("pairwiseAccuracy", () => {
  const cases: [string, number[], number[], number, number | undefined][] = [
    ["all pairs right", [2, 1, -1, 0], [1, 1, 0, 0], 4, 1],
    ["all pairs wrong", [-1, 1], [1, 0], 2, 0],
    ["ties count half", [3, 3], [1, 0], 2, 0.5],
    ["half of four pairs", [1, -1, 0, 0], [1, 1, 0, 0], 4, 0.5],
    ["groups weigh alike, whatever their number of pairs", [1, 0, 0, 0, 0, 1, 1, 1], [1, 0, 0, 0, 1, 1, 0, 0], 4, (1 + 0.25) / 2],
    ["uniform groups do not count", [5, 1, 1, 0], [1, 1, 1, 0], 2, 1],
    ["pairs weigh by the difference of fractional labels", [0, 1, 2], [1, 0.75, 0], 3, 0],
    ["fractional labels, weights 0.25 wrong against 1.75 right", [1, 2, 0], [1, 0.75, 0], 3, 1.75 / 2],
    ["nothing to compare", [1, 2], [1, 1], 2, undefined],
    ["no rows", [], [], 4, undefined],
  ];
  for (const [name, scores, labels, groupSize, expected] of cases) {
    test(name, () => {
      const result = pairwiseAccuracy(scores, labels, groupSize);
      if (expected === undefined) expect(result).toBeUndefined();
      else expect(result).toBeCloseTo(expected, 12);
    });
  }

  test("a shift of all scores of a group changes nothing", () => {
    const labels = [1, 0, 0, 1, 1, 0];
    const scores = [0.3, 0.1, 0.7, 0.2, -4, 1];
    const shifted = scores.map((score, i) => score + (i < 3 ? 10 : -3));
    expect(pairwiseAccuracy(shifted, labels, 3)).toBe(pairwiseAccuracy(scores, labels, 3) as number);
  });
});

test("absoluteAccuracy: the sign of the score against the label, zero counts half", () => {
  expect(absoluteAccuracy([1, -1, 1, -1], [1, 0, 0, 1])).toBe(0.5);
  expect(absoluteAccuracy([0.1, -2, 0], [1, 0, 1])).toBeCloseTo(2.5 / 3, 12);
  expect(absoluteAccuracy([], [])).toBeUndefined();
});
