// Votes: equal answers are written in one way, unequal ones never.
import { expect, test } from "bun:test";
import { canonicalAnswer } from "../../ts/verifiers/math/canonical.ts";

const same: [string, ...string[]][] = [
  ["1/2", "0.5", "\\frac{1}{2}", "\\dfrac12", " \\frac{2}{4} ", "$0.50$"],
  ["1000", "1,000", "10^3", "1000.0"],
  ["(1, 2)", "(1,2)", "\\left(1, \\frac{4}{2}\\right)"],
  ["x+1", "x + 1"],
  ["blue", "Blue", "\\text{blue}"],
];

test("ways of writing one answer are one vote", () => {
  for (const [first, ...others] of same) for (const other of others) expect([other, canonicalAnswer(other)]).toEqual([other, canonicalAnswer(first)]);
});

test("different answers are different votes, whatever they look like", () => {
  const all = [...same.map(([first]) => first), "0.51", "-1/2", "(2, 1)", "[1, 2]", "x-1", "10^{10^{10}}", "{".repeat(5000), "", "green"];
  expect(new Set(all.map(canonicalAnswer)).size).toBe(all.length);
});
