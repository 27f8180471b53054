// Answers to a benchmark: those on disk are kept, the missing ones are sampled, verified and stored, some hundred at a time.
import type { DatasetRow } from "../../data/dataset.ts";
import type { Model } from "../../model.ts";
import { endTokens, verifyAll } from "../../rollout/sample.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import type { Verifier } from "../../verifiers/types.ts";
import { GREEDY, type JsonlStore, type StoredAnswer } from "./answer_store.ts";

export interface BenchmarkSampling {
  samples: number; // per problem, beside the greedy answer; 0: the greedy one alone
  temperature: number;
  topP: number;
  maxNewTokens: number;
  seed: number;
  slots: number; // sequences decoded at once
}

export interface AnswerJob {
  rows: readonly DatasetRow[];
  prompts: readonly Int32Array[]; // of the rows
  texts: readonly string[]; // of the prompts
  model: Pick<Model, "generate"> & Partial<Pick<Model, "config">>;
  tokenizer: Tokenizer;
  verifier: Verifier;
  store: JsonlStore<StoredAnswer>;
  sampling: BenchmarkSampling;
  onProgress?: (done: number, total: number) => void; // answers
  signal?: AbortSignal;
}

/** Sample g of problem p draws from stream p * 2^20 + g: more samples later leave the earlier ones as they are. */
const STREAM_BITS = 20n;

/** Fills the store: the greedy answer of every problem and samples 0 … samples-1. What is there already is not computed again. */
export async function answerBenchmark(job: AnswerJob): Promise<void> {
  const { rows, store, sampling } = job;
  const missing = (samples: readonly number[]) =>
    rows.map((_, problem) => ({ problem, samples: samples.filter((sample) => !store.get(problem, sample)) })).filter((ask) => ask.samples.length > 0);
  const total = rows.length * (sampling.samples + 1);
  const asks = [...missing([GREEDY]), ...missing(Array.from({ length: sampling.samples }, (_, g) => g))];
  let done = total - asks.reduce((sum, ask) => sum + ask.samples.length, 0);
  job.onProgress?.(done, total);
  for (const part of batches(asks, 2 * sampling.slots)) {
    const answers = await answer(job, part);
    await store.add(answers);
    done += answers.length;
    job.onProgress?.(done, total);
  }
}

// --- internal ---

/** One problem and the numbers of the answers it lacks. */
interface Ask {
  problem: number;
  samples: number[];
}

/** Consecutive asks for equally many answers of the same kind, until a batch has `size` answers: a prompt is computed once for all of its samples. */
function batches(asks: readonly Ask[], size: number): Ask[][] {
  const parts: Ask[][] = [];
  for (const ask of asks) {
    const last = parts.at(-1);
    const alike = last && last[0].samples.length === ask.samples.length && (last[0].samples[0] === GREEDY) === (ask.samples[0] === GREEDY);
    if (alike && last.length * ask.samples.length < size) last.push(ask);
    else parts.push([ask]);
  }
  return parts;
}

async function answer(job: AnswerJob, asks: readonly Ask[]): Promise<StoredAnswer[]> {
  const { rows, model, tokenizer, verifier, sampling, signal } = job;
  const part = asks.flatMap(({ problem, samples }) => samples.map((sample) => ({ problem, sample })));
  const rollouts = await model.generate(
    asks.map(({ problem }) => job.prompts[problem]),
    {
      samples: asks[0].samples.length,
      maxNewTokens: sampling.maxNewTokens,
      temperature: part[0].sample === GREEDY ? 0 : sampling.temperature,
      topP: sampling.topP,
      seed: sampling.seed,
      sequences: part.map(({ problem, sample }) => (BigInt(problem) << STREAM_BITS) + BigInt(Math.max(0, sample))),
      maxBatch: sampling.slots,
      stop: { tokens: endTokens(tokenizer, model.config) },
      signal,
    },
  );
  const texts = rollouts.map(({ tokens }) => tokenizer.decode(tokens, { skipSpecialTokens: true }));
  const items = part.map(({ problem }, i) => {
    const { answer: reference = "", ability } = rows[problem];
    return { prompt: job.texts[problem], response: texts[i], answer: reference, ...(ability === undefined ? {} : { ability }) };
  });
  const verdicts = await verifyAll(verifier, items, signal);
  return part.map(({ problem, sample }, i) => {
    const { score, outcome, extracted, reason } = verdicts[i];
    const { tokens, finishReason } = rollouts[i];
    const found = extracted === undefined ? {} : { extracted };
    return {
      problem,
      id: rows[problem].id,
      sample,
      text: texts[i],
      tokens: tokens.length,
      truncated: finishReason === "length",
      score,
      outcome,
      ...found,
      reason,
    };
  });
}
