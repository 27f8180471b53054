// Sample answers with the process reward of each step, for people to read.

import type { Task } from "../data/task.ts";
import type { Problem } from "../data/types.ts";
import { implicitRewards, stepRewards } from "../kernels.ts";
import type { Model } from "../model.ts";
import { responseOffsets, rowsOfGroups } from "../rollout/pack.ts";
import { sampleGroups } from "../rollout/sample.ts";
import { scoreRows } from "../rollout/score.ts";
import type { Sample } from "../rollout/types.ts";
import { stepEnds, stepVerdicts } from "./steps.ts";

export interface AnswerStep {
  text: string;
  reward?: number; // sum of r over the step's tokens; absent without a PRM
  cumulative?: number; // the running sum up to the step's end
  correct?: boolean; // what the task says of it, where the task judges steps
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
  task: Pick<Task, "tokenizer" | "verifier" | "checkSteps">,
  problems: readonly Problem[],
  o: AnswersOptions,
): Promise<SampleAnswer[]> {
  const numbered = problems.map((problem, position) => ({ position, problem }));
  const groups = await sampleGroups(policy, task, numbered, { ...o, samples: 1, firstSequence: 1n << 63n });
  const rows = rowsOfGroups(groups);
  const ends = groups.map((group) => stepEnds(task.tokenizer, group.samples[0].tokens));
  const answers = groups.map((group, i) => describeAnswer(group.problem, group.samples[0], task, ends[i]));
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

// --- internal ---

function describeAnswer(problem: Problem, sample: Sample, task: Pick<Task, "tokenizer" | "checkSteps">, ends: readonly number[]): SampleAnswer {
  const correct = stepVerdicts(task, problem, sample.text, ends.length);
  const steps = ends.map((end, i): AnswerStep => {
    const tokens = sample.tokens.subarray(i === 0 ? 0 : ends[i - 1] + 1, end + 1);
    const text = task.tokenizer.decode(tokens, { skipSpecialTokens: true }).replace(/\n+$/, "");
    return { text, ...(correct[i] !== undefined && { correct: correct[i] }) };
  });
  return { problem, text: sample.text, score: sample.verdict.score, outcome: sample.verdict.outcome, truncated: sample.truncated, steps };
}

function offsetsOf(lists: readonly (readonly unknown[])[]): Int32Array {
  const offsets = new Int32Array(lists.length + 1);
  for (let i = 0; i < lists.length; i++) offsets[i + 1] = offsets[i] + lists[i].length;
  return offsets;
}
