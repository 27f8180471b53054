// Sample answers with the process reward of each step, for people to read.

import type { Task } from "../data/task.ts";
import type { Problem } from "../data/types.ts";
import { implicitRewards, stepRewards } from "../kernels.ts";
import type { Model } from "../model.ts";
import { responseOffsets, rowsOfGroups } from "../rollout/pack.ts";
import { sampleGroups } from "../rollout/sample.ts";
import { scoreRows } from "../rollout/score.ts";
import type { Sample } from "../rollout/types.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export interface AnswerStep {
  text: string;
  reward?: number; // sum of r over the step's tokens; absent without a PRM
  cumulative?: number; // the running sum up to the step's end
}

export interface SampleAnswer {
  problem: Problem;
  text: string;
  score: number; // the verifier's
  outcome: string;
  truncated: boolean;
  processScore?: number; // the whole answer's sum of r
  steps: AnswerStep[];
}

export interface AnswersOptions {
  maxNewTokens: number;
  temperature: number;
  seed: number;
  prmBeta: number;
  maxTokensPerBatch: number;
  signal?: AbortSignal;
}

/** One answer per problem, cut into steps at line ends. With `judges`, each step carries beta * (log PRM - log reference), summed over its tokens. */
export async function sampleAnswers(
  policy: Pick<Model, "generate">,
  judges: { prm: Pick<Model, "logprobs">; reference: Pick<Model, "logprobs"> } | undefined,
  task: Pick<Task, "tokenizer" | "verifier">,
  problems: readonly Problem[],
  o: AnswersOptions,
): Promise<SampleAnswer[]> {
  const numbered = problems.map((problem, position) => ({ position, problem }));
  const groups = await sampleGroups(policy, task, numbered, { ...o, samples: 1, firstSequence: 1n << 63n });
  const rows = rowsOfGroups(groups);
  const ends = groups.map((group) => stepEnds(task.tokenizer, group.samples[0].tokens));
  const answers = groups.map((group, i) => describeAnswer(group.problem, group.samples[0], task.tokenizer, ends[i]));
  if (!judges || rows.length === 0) return answers;

  const scoring = { maxTokensPerBatch: o.maxTokensPerBatch, signal: o.signal };
  const offsets = responseOffsets(rows);
  const { q } = implicitRewards(await scoreRows(judges.prm, rows, scoring), await scoreRows(judges.reference, rows, scoring), offsets, { beta: o.prmBeta });
  const { perStep, cumulative } = stepRewards(q, offsets, Int32Array.from(ends.flat()), offsetsOf(ends));
  let at = 0;
  for (const answer of answers) {
    for (const step of answer.steps) {
      step.reward = perStep[at];
      step.cumulative = cumulative[at++];
    }
    answer.processScore = answer.steps.at(-1)?.cumulative ?? 0;
  }
  return answers;
}

/** Positions of the last token of each step: the last token of every run of line ends, and the last token of the answer. Rising, without doubles. */
export function stepEnds(tokenizer: Pick<Tokenizer, "tokenBytes">, tokens: Int32Array): number[] {
  const newline = 0x0a;
  const ends: number[] = [];
  tokens.forEach((token, t) => {
    const bytes = tokenizer.tokenBytes(token);
    const blank = bytes.length > 0 && bytes.every((byte) => byte === newline);
    if (blank && ends.at(-1) === t - 1) ends[ends.length - 1] = t;
    else if (t === tokens.length - 1 || bytes.includes(newline)) ends.push(t);
  });
  return ends;
}

// --- internal ---

function describeAnswer(problem: Problem, sample: Sample, tokenizer: Pick<Tokenizer, "decode">, ends: readonly number[]): SampleAnswer {
  const steps = ends.map((end, i) => ({
    text: tokenizer.decode(sample.tokens.subarray(i === 0 ? 0 : ends[i - 1] + 1, end + 1), { skipSpecialTokens: true }).replace(/\n+$/, ""),
  }));
  return { problem, text: sample.text, score: sample.verdict.score, outcome: sample.verdict.outcome, truncated: sample.truncated, steps };
}

function offsetsOf(lists: readonly (readonly unknown[])[]): Int32Array {
  const offsets = new Int32Array(lists.length + 1);
  for (let i = 0; i < lists.length; i++) offsets[i + 1] = offsets[i] + lists[i].length;
  return offsets;
}
