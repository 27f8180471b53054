// What several answers to one problem are worth: the mean, pass@k, majority vote, Best-of-N and weighted Best-of-N, at any N up to the number sampled.
import { rangeError } from "../../errors.ts";

/** One sampled answer as the metrics see it. */
export interface Candidate {
  score: number; // outcome, 0..1
  /** What it votes for: the final answer, written in one way; undefined: it has none, and no vote. */
  vote: string | undefined;
  /** The PRM's score of the whole answer, by some aggregation of its steps. */
  reward?: number;
}

/** How the step rewards of an answer become one score. "sum" is the Q value at the end; EurusPRM's card takes "minimum" (stage 1) and "sum" (stage 2). */
export const aggregations = {
  minimum: (steps: readonly number[]) => steps.reduce((least, reward) => Math.min(least, reward), Number.POSITIVE_INFINITY),
  mean: (steps: readonly number[]) => total(steps) / steps.length,
  last: (steps: readonly number[]) => steps[steps.length - 1],
  sum: (steps: readonly number[]) => total(steps),
} as const;

export type Aggregation = keyof typeof aggregations;

/** An answer's score; an answer without steps has the lowest. */
export function aggregate(steps: readonly number[], how: Aggregation): number {
  return steps.length === 0 ? Number.NEGATIVE_INFINITY : aggregations[how](steps);
}

/** Mean score of all answers: the expected score of one. */
export function meanScore(candidates: readonly Candidate[]): number {
  return candidates.length === 0 ? 0 : total(candidates.map(({ score }) => score)) / candidates.length;
}

/**
 * The chance that at least one of k answers drawn without replacement is right, 1 - C(n-c, k) / C(n, k): unbiased (Chen et al. 2021, arXiv 2107.03374).
 * An answer is right with a score of 1. Throws a RangeError unless 1 <= k <= n.
 */
export function passAtK(candidates: readonly Candidate[], k: number): number {
  const n = candidates.length;
  checkCount("k", k, n);
  const wrong = candidates.filter(({ score }) => score < 1).length;
  let noneRight = 1;
  for (let i = 0; i < k; i++) noneRight *= Math.max(0, wrong - i) / (n - i);
  return 1 - noneRight;
}

/**
 * The expected score of the answer with the highest reward among `n` drawn without replacement: exact, over all subsets; answers of equal
 * reward share. Throws a RangeError unless 1 <= n <= the number of answers, and for a reward that is NaN or missing.
 */
export function bestOfN(candidates: readonly Candidate[], n: number): number {
  const all = candidates.length;
  checkCount("n", n, all);
  const rewards = candidates.map(rewardOf);
  const order = candidates.map((_, i) => i).sort((a, b) => rewards[b] - rewards[a]);
  let expected = 0;
  let below = 1; // the chance that no answer before this block of equals was drawn
  for (let begin = 0; begin < all && below > 0; ) {
    let end = begin;
    while (end < all && rewards[order[end]] === rewards[order[begin]]) end++;
    const after = chanceOfNone(end, n, all);
    const block = order.slice(begin, end).map((i) => candidates[i].score);
    expected += (below - after) * (total(block) / block.length);
    below = after;
    begin = end;
  }
  return expected;
}

/** The score of the final answer that most of the answers give; equals share. With no vote at all, the mean score. */
export function majorityVote(candidates: readonly Candidate[]): number {
  return scoreOfWinner(candidates, () => 1);
}

/** The same with votes weighted by their rewards: per final answer the sum of the rewards counts (self-consistency weighted by the PRM). */
export function weightedBestOfN(candidates: readonly Candidate[]): number {
  return scoreOfWinner(candidates, rewardOf);
}

// --- internal ---

function scoreOfWinner(candidates: readonly Candidate[], weightOf: (candidate: Candidate) => number): number {
  const weights = new Map<string, { weight: number; scores: number[] }>();
  for (const candidate of candidates) {
    if (candidate.vote === undefined) continue;
    const entry = weights.get(candidate.vote) ?? { weight: 0, scores: [] };
    entry.weight += weightOf(candidate);
    entry.scores.push(candidate.score);
    weights.set(candidate.vote, entry);
  }
  if (weights.size === 0) return meanScore(candidates);
  const most = Math.max(...[...weights.values()].map(({ weight }) => weight));
  const winners = [...weights.values()].filter(({ weight }) => weight === most);
  return total(winners.map(({ scores }) => total(scores) / scores.length)) / winners.length;
}

/** The chance that n of `all` drawn without replacement miss the first `first`: C(all - first, n) / C(all, n). */
function chanceOfNone(first: number, n: number, all: number): number {
  let chance = 1;
  for (let i = 0; i < n; i++) chance *= Math.max(0, all - first - i) / (all - i);
  return chance;
}

function rewardOf({ reward }: Candidate): number {
  if (reward === undefined || Number.isNaN(reward)) throw rangeError("reward", "a number for every answer (NaN has no rank)", reward);
  return reward;
}

function checkCount(name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 1 || value > most) throw rangeError(name, `an integer from 1 to the ${most} answers there are`, value);
}

function total(values: readonly number[]): number {
  return values.reduce((sum, x) => sum + x, 0);
}
