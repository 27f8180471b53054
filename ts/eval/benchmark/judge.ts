// Step rewards of stored answers from a PRM and its reference; kept on disk like the answers.

import { splitSteps } from "../../data/prm/example.ts";
import type { Model } from "../../model.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { judgeAnswers } from "../process.ts";
import type { JsonlStore, StoredAnswer } from "./answer_store.ts";

export interface StoredRewards {
  problem: number;
  sample: number;
  steps: number[]; // reward of every step; none for an answer without text
}

export interface JudgeJob {
  answers: readonly StoredAnswer[];
  texts: readonly string[]; // prompts by problem, as the model saw them
  judges: { prm: Pick<Model, "logprobs">; reference: Pick<Model, "logprobs"> };
  tokenizer: Tokenizer;
  store: JsonlStore<StoredRewards>;
  beta: number;
  maxTokensPerBatch: number;
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

const BLOCK = 128;

/** Fills the store with the step rewards of the answers; steps are cut at blank lines, or at line ends where there are none. */
export async function judgeBenchmark(job: JudgeJob): Promise<void> {
  const { answers, store, beta, maxTokensPerBatch, signal } = job;
  const missing = answers.filter(({ problem, sample }) => !store.get(problem, sample));
  let done = answers.length - missing.length;
  for (let begin = 0; begin < missing.length; begin += BLOCK) {
    signal?.throwIfAborted();
    const part = missing.slice(begin, begin + BLOCK);
    const written = part.filter(({ text }) => text.trim() !== "");
    const examples = written.map(({ id, sample, problem, text, truncated }) => ({
      id: `${id}, answer ${sample}`,
      prompt: job.texts[problem],
      steps: splitSteps(text, "auto"),
      group: id,
      open: truncated,
    }));
    const judged = await judgeAnswers(job.judges, job.tokenizer, examples, { beta, maxTokensPerBatch, signal, promptFormat: "text" });
    const steps = new Map(written.map((answer, i) => [answer, judged[i].steps.map(({ reward }) => reward)]));
    await store.add(part.map((answer) => ({ problem: answer.problem, sample: answer.sample, steps: steps.get(answer) ?? [] })));
    done += part.length;
    job.onProgress?.(done, answers.length);
  }
}
