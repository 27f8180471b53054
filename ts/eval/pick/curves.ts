// Curves over N: every metric at every number of answers, per problem and then as means with intervals.
import { Draws } from "../../data/random.ts";
import { rangeError } from "../../errors.ts";
import { bootstrap, type Estimate, type Estimator } from "./interval.ts";
import { type Aggregation, aggregate, aggregations, bestOfN, type Candidate, majorityVote, meanScore, passAtK, weightedBestOfN } from "./metrics.ts";

/** One problem's answers, in the order they were sampled. */
export interface AnswerSet {
  answers: { score: number; vote: string | undefined; stepRewards?: readonly number[] }[];
}

export interface CurvePoint {
  n: number; // answers per problem
  mean: Estimate; // of single answers: the same at every n but for sampling
  pass: Estimate; // pass@n, unbiased
  majority: Estimate;
  /** With a PRM: per aggregation of step rewards. */
  best?: Record<Aggregation, Estimate>;
  weighted?: Record<Aggregation, Estimate>;
}

export interface CurveOptions {
  /** Random subsets of n answers over which votes are averaged (there is no closed form); default 32. pass@n and Best-of-N are exact. */
  subsets?: number;
  seed?: number;
}

const STREAM = 0x5375_6273;

/** N = 1, 2, 4, … and the number of answers itself. */
export function powersUpTo(answers: number): number[] {
  const powers = Array.from({ length: Math.max(0, Math.floor(Math.log2(answers))) + 1 }, (_, i) => 2 ** i);
  return powers.at(-1) === answers ? powers : [...powers, answers];
}

/** The metrics at each of `ns`. Throws a RangeError where a problem has fewer answers than the largest n. */
export function curves(problems: readonly AnswerSet[], ns: readonly number[], o: CurveOptions = {}): CurvePoint[] {
  const fewest = Math.min(...problems.map(({ answers }) => answers.length));
  const asked = Math.max(...ns);
  if (problems.length > 0 && asked > fewest) throw rangeError("ns", `numbers up to the ${fewest} answers that every problem has`, asked);
  const judged = problems.length > 0 && problems.every(({ answers }) => answers.every(({ stepRewards }) => stepRewards !== undefined));
  const estimate = bootstrap(problems.length, { seed: o.seed });
  return ns.map((n) => curvePoint(problems, n, judged, o, estimate));
}

// --- internal ---

function curvePoint(problems: readonly AnswerSet[], n: number, judged: boolean, o: CurveOptions, estimate: Estimator): CurvePoint {
  const seed = o.seed ?? 0;
  const over = (value: (candidates: Candidate[], problem: number) => number, how?: Aggregation) =>
    estimate(problems.map((problem, p) => value(candidatesOf(problem, how), p)));
  const voted = (vote: (candidates: readonly Candidate[]) => number) => (candidates: Candidate[], p: number) =>
    meanOverSubsets(candidates, n, o.subsets ?? 32, new Draws(seed, STREAM + n, p), vote);
  const perAggregation = (value: (how: Aggregation) => Estimate) =>
    Object.fromEntries((Object.keys(aggregations) as Aggregation[]).map((how) => [how, value(how)])) as Record<Aggregation, Estimate>;
  return {
    n,
    mean: over(meanScore),
    pass: over((candidates) => passAtK(candidates, n)),
    majority: over(voted(majorityVote)),
    ...(judged
      ? {
          best: perAggregation((how) => over((candidates) => bestOfN(candidates, n), how)),
          weighted: perAggregation((how) => over(voted(weightedBestOfN), how)),
        }
      : {}),
  };
}

function candidatesOf({ answers }: AnswerSet, how?: Aggregation): Candidate[] {
  return answers.map(({ score, vote, stepRewards }) => ({ score, vote, ...(how && stepRewards ? { reward: aggregate(stepRewards, how) } : {}) }));
}

function meanOverSubsets(candidates: Candidate[], n: number, subsets: number, draws: Draws, value: (subset: readonly Candidate[]) => number): number {
  if (n === candidates.length) return value(candidates);
  if (n === 1) return meanScore(candidates);
  let sum = 0;
  for (let s = 0; s < subsets; s++) {
    const pool = [...candidates];
    for (let i = 0; i < n; i++) {
      const j = draws.integer(i, pool.length - 1);
      [pool[i], pool[j]] = [pool[j], pool[i]];
    }
    sum += value(pool.slice(0, n));
  }
  return sum / subsets;
}
