// One benchmark from its questions to its figures: sample and judge what is missing on disk, then compute everything from what is there.
import { join, relative } from "node:path";
import type { DatasetRow } from "../../data/dataset.ts";
import { promptWriter } from "../../data/prompt_text.ts";
import { PrimekitError } from "../../errors.ts";
import type { Model } from "../../model.ts";
import type { PromptStyle } from "../../tokenizer/prompts.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { canonicalAnswer } from "../../verifiers/math/canonical.ts";
import type { Verifier } from "../../verifiers/types.ts";
import { curves, powersUpTo } from "../pick/curves.ts";
import { bootstrap } from "../pick/interval.ts";
import { GREEDY, JsonlStore, keyOf, type StoredAnswer } from "./answer_store.ts";
import { judgeBenchmark, type StoredRewards } from "./judge.ts";
import type { BenchmarkResult } from "./report.ts";
import { answerBenchmark, type BenchmarkSampling } from "./sample.ts";

export interface EvaluateOptions {
  name: string;
  title: string;
  rows: readonly DatasetRow[];
  /** The model, opened when an answer is missing, for prompts of so many tokens at most; and what its weights are told by. */
  openModel: (promptTokens: number) => Promise<Pick<Model, "generate"> & Partial<Pick<Model, "config">>>;
  modelId: string;
  tokenizer: Tokenizer;
  verifier: Verifier;
  sampling: BenchmarkSampling;
  promptStyle: PromptStyle;
  chatTemplate: boolean;
  /** The PRM and its reference, opened when rewards are missing. */
  prm?: {
    open: (promptTokens: number) => Promise<{ prm: Pick<Model, "logprobs">; reference: Pick<Model, "logprobs"> }>;
    id: string;
    beta: number;
    maxTokensPerBatch: number;
  };
  dir: string; // of the evaluation
  onProgress?: (phase: "answers" | "rewards", done: number, total: number) => void;
  signal?: AbortSignal;
}

/** Throws ERR_DATA for a prompt without tokens, ERR_ABORTED when stopped (what was computed by then is on disk), and what its parts throw. */
export async function evaluateBenchmark(o: EvaluateOptions): Promise<BenchmarkResult> {
  const write = promptWriter(o.tokenizer, o);
  const texts = o.rows.map((row) => write.text(row));
  const prompts = texts.map((text, i) => {
    const ids = o.tokenizer.encode(text);
    if (ids.length === 0) throw new PrimekitError("ERR_DATA", `The prompt of ${o.rows[i].id} has no tokens; a prompt needs at least one.`);
    return ids;
  });
  const longest = prompts.reduce((most, { length }) => Math.max(most, length), 0);
  const { samples, slots: _, ...settings } = o.sampling;
  const key = keyOf({ model: o.modelId, verifier: o.verifier.name, settings, questions: o.rows.map(({ answer }, i) => [texts[i], answer]) });
  const answersFile = join(o.dir, "answers", `${o.name}-${key}.jsonl`);
  const store = await JsonlStore.open<StoredAnswer>(answersFile);
  const onAnswers = (done: number, total: number) => o.onProgress?.("answers", done, total);
  const isComplete = o.rows.every((_, problem) => [GREEDY, ...range(samples)].every((sample) => store.get(problem, sample)));
  if (!isComplete) {
    const model = await o.openModel(longest);
    const { tokenizer, verifier, sampling, signal, rows } = o;
    await answerBenchmark({ rows, prompts, texts, model, tokenizer, verifier, store, sampling, onProgress: onAnswers, signal });
  }
  const answersOf = (problem: number) => range(samples).map((sample) => store.get(problem, sample) as StoredAnswer);
  const all = o.rows.flatMap((_, problem) => [store.get(problem, GREEDY) as StoredAnswer, ...answersOf(problem)]);
  const rewards =
    o.prm && samples > 0
      ? await rewardsOf(
          o,
          key,
          texts,
          all.filter(({ sample }) => sample !== GREEDY),
          longest,
        )
      : undefined;
  const sets = o.rows.map((_, problem) => ({
    answers: answersOf(problem).map(({ score, extracted, sample }) => ({
      score,
      vote: extracted === undefined ? undefined : canonicalAnswer(extracted),
      stepRewards: rewards?.store.get(problem, sample)?.steps,
    })),
  }));
  return {
    name: o.name,
    title: o.title,
    problems: o.rows.length,
    greedy: bootstrap(o.rows.length, { seed: o.sampling.seed })(o.rows.map((_, problem) => (store.get(problem, GREEDY) as StoredAnswer).score)),
    curve: samples > 0 ? curves(sets, powersUpTo(samples), { seed: o.sampling.seed }) : [],
    truncated: all.filter(({ truncated }) => truncated).length / all.length,
    undecided: all.filter(({ outcome }) => outcome !== "correct" && outcome !== "wrong").length,
    answersFile: relative(o.dir, answersFile),
    ...(rewards ? { rewardsFile: relative(o.dir, rewards.file) } : {}),
  };
}

// --- internal ---

async function rewardsOf(o: EvaluateOptions, answersKey: string, texts: readonly string[], answers: readonly StoredAnswer[], promptTokens: number) {
  const { open, id, beta, maxTokensPerBatch } = o.prm as NonNullable<EvaluateOptions["prm"]>;
  const file = join(o.dir, "rewards", `${o.name}-${keyOf({ answersKey, id, beta })}.jsonl`);
  const store = await JsonlStore.open<StoredRewards>(file);
  if (answers.some(({ problem, sample }) => !store.get(problem, sample))) {
    const onProgress = (done: number, total: number) => o.onProgress?.("rewards", done, total);
    await judgeBenchmark({
      answers,
      texts,
      judges: await open(promptTokens),
      tokenizer: o.tokenizer,
      store,
      beta,
      maxTokensPerBatch,
      onProgress,
      signal: o.signal,
    });
  }
  return { file, store };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
