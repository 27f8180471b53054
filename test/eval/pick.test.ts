// The metrics over several answers against brute force over all subsets, and what they must obey.
import { describe, expect, test } from "bun:test";
import { curves, powersUpTo } from "../../ts/eval/pick/curves.ts";
import { bootstrap } from "../../ts/eval/pick/interval.ts";
import { aggregate, bestOfN, type Candidate, majorityVote, meanScore, passAtK, weightedBestOfN } from "../../ts/eval/pick/metrics.ts";
import { Random } from "../support/random.ts";

/** All subsets of `size` elements. */
function subsets<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, i) => subsets(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]));
}

function randomCandidates(random: Random, count: number): Candidate[] {
  return Array.from({ length: count }, () => {
    const vote = ["1", "2", "3", undefined][Math.floor(random.uniform() * 4)];
    return { score: vote === "2" ? 1 : 0, vote, reward: Math.round(random.uniform() * 4) / 4 }; // with ties
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;

describe("exact over all subsets", () => {
  test("pass@k", () => {
    const random = new Random(1);
    for (let round = 0; round < 20; round++) {
      const candidates = randomCandidates(random, 7);
      for (let k = 1; k <= 7; k++) {
        const expected = mean(subsets(candidates, k).map((subset) => (subset.some(({ score }) => score === 1) ? 1 : 0)));
        expect(passAtK(candidates, k)).toBeCloseTo(expected, 12);
      }
    }
  });

  test("Best-of-N, answers of equal reward sharing", () => {
    const random = new Random(2);
    for (let round = 0; round < 20; round++) {
      const candidates = randomCandidates(random, 7);
      for (let n = 1; n <= 7; n++) {
        const expected = mean(
          subsets(candidates, n).map((subset) => {
            const top = Math.max(...subset.map(({ reward }) => reward as number));
            return mean(subset.filter(({ reward }) => reward === top).map(({ score }) => score));
          }),
        );
        expect(bestOfN(candidates, n)).toBeCloseTo(expected, 12);
      }
      expect(bestOfN(candidates, 1)).toBeCloseTo(meanScore(candidates), 12);
    }
  });
});

describe("votes", () => {
  const candidate = (vote: string | undefined, score: number, reward = 0): Candidate => ({ vote, score, reward });

  test("the most frequent answer wins; equals share; answers without one do not vote", () => {
    expect(majorityVote([candidate("a", 1), candidate("a", 1), candidate("b", 0)])).toBe(1);
    expect(majorityVote([candidate("a", 1), candidate("b", 0)])).toBe(0.5);
    expect(majorityVote([candidate(undefined, 0), candidate(undefined, 0), candidate("a", 1)])).toBe(1);
    expect(majorityVote([candidate(undefined, 1), candidate(undefined, 0)])).toBe(0.5);
  });

  test("weighted by rewards, few good answers beat many bad ones", () => {
    const answers = [candidate("a", 1, 0.9), candidate("b", 0, 0.2), candidate("b", 0, 0.3), candidate("b", 0, 0.1)];
    expect(majorityVote(answers)).toBe(0);
    expect(weightedBestOfN(answers)).toBe(1);
  });
});

test("step rewards become one score in four ways; an answer without steps is last", () => {
  const steps = [0.5, -1, 2];
  expect(aggregate(steps, "minimum")).toBe(-1);
  expect(aggregate(steps, "mean")).toBe(0.5);
  expect(aggregate(steps, "last")).toBe(2);
  expect(aggregate(steps, "sum")).toBe(1.5);
  expect(
    bestOfN(
      [
        { score: 0, vote: undefined, reward: aggregate([], "mean") },
        { score: 1, vote: undefined, reward: -5 },
      ],
      2,
    ),
  ).toBe(1);
});

describe("curves over N", () => {
  const random = new Random(3);
  const problems = Array.from({ length: 40 }, () => ({
    answers: Array.from({ length: 16 }, () => {
      const right = random.uniform() < 0.4;
      return { score: right ? 1 : 0, vote: right ? "yes" : `no ${Math.floor(random.uniform() * 4)}`, stepRewards: [right ? 1 : random.uniform(), 0.5] };
    }),
  }));

  test("N runs over the powers of two and the number of answers", () => {
    expect(powersUpTo(16)).toEqual([1, 2, 4, 8, 16]);
    expect(powersUpTo(12)).toEqual([1, 2, 4, 8, 12]);
    expect(powersUpTo(1)).toEqual([1]);
  });

  test("one answer is the mean for every metric; more never lower pass@N; the same call twice gives the same", () => {
    const points = curves(problems, [1, 2, 4, 8, 16], { seed: 4 });
    const single = mean(problems.map(({ answers }) => mean(answers.map(({ score }) => score))));
    for (const estimate of [points[0].mean, points[0].pass, points[0].majority, points[0].best?.sum, points[0].weighted?.mean])
      expect(estimate?.value).toBeCloseTo(single, 12);
    for (let i = 1; i < points.length; i++) expect(points[i].pass.value).toBeGreaterThanOrEqual(points[i - 1].pass.value);
    expect(points[4].best?.minimum.value).toBeGreaterThan(single);
    expect(points[4].majority.value).toBeGreaterThan(single);
    expect(curves(problems, [1, 2, 4, 8, 16], { seed: 4 })).toEqual(points);
  });

  test("votes over random subsets are near the mean over all subsets", () => {
    const few = problems.slice(0, 5).map(({ answers }) => ({ answers: answers.slice(0, 6) }));
    const [point] = curves(few, [3], { subsets: 4000 });
    const expected = mean(few.map(({ answers }) => mean(subsets(answers, 3).map((subset) => majorityVote(subset)))));
    expect(point.majority.value).toBeCloseTo(expected, 1);
    expect(Math.abs(point.majority.value - expected)).toBeLessThan(0.02);
  });

  test("without rewards there is no Best-of-N, and more answers than there are is an error", () => {
    const plain = problems.map(({ answers }) => ({ answers: answers.map(({ score, vote }) => ({ score, vote })) }));
    expect(curves(plain, [4])[0].best).toBeUndefined();
    expect(() => curves(plain, [17])).toThrow(/16 answers/);
    expect(() => passAtK([], 1)).toThrow(RangeError);
    expect(() => bestOfN([{ score: 1, vote: "a", reward: Number.NaN }], 1)).toThrow(/NaN/);
  });
});

test("a bootstrap interval covers the true mean about as often as it says, and no values give no interval", () => {
  const random = new Random(5);
  let covered = 0;
  for (let round = 0; round < 200; round++) {
    const values = Array.from({ length: 60 }, () => (random.uniform() < 0.3 ? 1 : 0));
    const { low, high, value } = bootstrap(60, { seed: round, resamples: 300 })(values);
    expect(low).toBeLessThanOrEqual(value);
    if (low <= 0.3 && high >= 0.3) covered++;
  }
  expect(covered / 200).toBeGreaterThan(0.88);
  expect(covered / 200).toBeLessThanOrEqual(1);
  expect(bootstrap(0)([])).toEqual({ value: 0, low: 0, high: 0 });
});
