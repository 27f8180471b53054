// Accuracy on held-out problems.

import type { Task } from "../data/task.ts";
import type { Problem } from "../data/types.ts";
import type { Model } from "../model.ts";
import { sampleGroups } from "../rollout/sample.ts";

export interface AccuracyOptions {
  maxNewTokens: number;
  temperature?: number; // default 0: greedy
  samples?: number; // per problem, default 1
  seed?: number; // matters only when sampling
  maxBatch?: number;
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

export interface Accuracy {
  accuracy: number; // mean score; answers without a verdict count 0 and are listed in `errors`
  problems: number;
  truncated: number; // answers cut by the length limit
  timeouts: number;
  errors: number;
  byLevel: { level: number; problems: number; accuracy: number }[]; // by rising level
}

/** Mean verifier score of the model's answers, greedy unless a temperature is given. */
export async function measureAccuracy(
  model: Pick<Model, "generate">,
  task: Pick<Task, "tokenizer" | "verifier">,
  problems: readonly Problem[],
  o: AccuracyOptions,
): Promise<Accuracy> {
  const numbered = problems.map((problem, position) => ({ position, problem }));
  const options = { ...o, temperature: o.temperature ?? 0, samples: o.samples ?? 1, seed: o.seed ?? 0, firstSequence: 0n };
  const groups = await sampleGroups(model, task, numbered, options);
  const samples = groups.flatMap((group) => group.samples);
  const count = (outcome: string) => samples.filter((sample) => sample.verdict.outcome === outcome).length;
  const levels = [...new Set(problems.map((problem) => problem.level))].sort((a, b) => a - b);
  return {
    accuracy: mean(groups.map((group) => group.accuracy)),
    problems: problems.length,
    truncated: samples.filter((sample) => sample.truncated).length,
    timeouts: count("timeout"),
    errors: count("error"),
    byLevel: levels.map((level) => {
      const scores = groups.filter((group) => group.problem.level === level).map((group) => group.accuracy);
      return { level, problems: scores.length, accuracy: mean(scores) };
    }),
  };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, x) => sum + x, 0) / values.length;
}
