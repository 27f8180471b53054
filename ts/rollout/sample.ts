// Sampling: problems in, groups of generated and verified answers out.

import type { Task } from "../data/task.ts";
import type { Problem } from "../data/types.ts";
import { PrimekitError } from "../errors.ts";
import type { Model } from "../model.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Item, Verdict, Verifier } from "../verifiers/types.ts";
import { type Group, type Sample, type Timer, untimed } from "./types.ts";

type EndsOfText = Pick<Model["config"], "eosTokenId" | "eosTokenIds">;

export interface SampleOptions {
  samples: number; // G
  maxNewTokens: number;
  temperature: number; // 0 = greedy
  topP?: number;
  topK?: number;
  seed: number;
  /** Counter of the first sequence: sample g of problem p draws from stream firstSequence + p*G + g. */
  firstSequence: bigint;
  maxBatch?: number; // decoding slots
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
  timer?: Timer;
}

/** Draws `samples` answers for every problem and verifies them. Groups come in the order of `problems`; a verifier that fails marks its samples "error". */
export async function sampleGroups(
  policy: Pick<Model, "generate"> & { config?: EndsOfText },
  task: Pick<Task, "tokenizer" | "verifier">,
  problems: readonly { position: number; problem: Problem }[],
  o: SampleOptions,
): Promise<Group[]> {
  const timer = o.timer ?? untimed;
  const prompts = problems.map(({ problem }) => encodePrompt(task.tokenizer, problem));
  const { seed, firstSequence, samples, maxNewTokens, temperature, topP, topK, maxBatch, onProgress, signal } = o;
  const stop = { tokens: endTokens(task.tokenizer, policy.config) };
  const rollouts = await timer("rollout", () =>
    policy.generate(prompts, { samples, maxNewTokens, temperature, topP, topK, stop, seed, firstSequence, maxBatch, onProgress, signal }),
  );
  const texts = rollouts.map((rollout) => task.tokenizer.decode(rollout.tokens, { skipSpecialTokens: true }));
  const items = rollouts.map((rollout, i) => {
    const { prompt, answer, ability } = problems[rollout.prompt].problem;
    return { prompt, response: texts[i], answer, ...(ability === undefined ? {} : { ability }) };
  });
  const verdicts = await timer("verify", () => verifyAll(task.verifier, items, signal));
  const all = rollouts.map((rollout, i): Sample => {
    return { tokens: rollout.tokens, logprobs: rollout.logprobs, text: texts[i], truncated: rollout.finishReason === "length", verdict: verdicts[i] };
  });
  return problems.map(({ position, problem }, p) => makeGroup(position, problem, prompts[p], all.slice(p * samples, (p + 1) * samples)));
}

/** The tokens at which an answer ends: what the tokenizer calls the end of text, and what the model's own settings do. */
export function endTokens(tokenizer: Pick<Tokenizer, "eosId">, { eosTokenId, eosTokenIds = [] }: EndsOfText = {}): number[] {
  return [...new Set([tokenizer.eosId, eosTokenId, ...eosTokenIds])].filter((id) => id !== undefined);
}

/** Token ids of a problem's prompt; never empty. */
export function encodePrompt(tokenizer: Pick<Tokenizer, "encode">, problem: Problem): Int32Array {
  const ids = tokenizer.encode(problem.prompt);
  if (ids.length === 0) throw new PrimekitError("ERR_DATA", `The prompt of problem ${problem.id} has no tokens; a prompt needs at least one.`);
  return ids;
}

/** Verdicts in the order of items. A verifier that throws, or returns what is no verdict, does not stop a run: such items come back as "error", with the reason. Throws only ERR_UNSUPPORTED (what it needs is not installed), and the abort. */
export async function verifyAll(verifier: Verifier, items: readonly Item[], signal?: AbortSignal): Promise<Verdict[]> {
  try {
    const verdicts = await verifier.verify(items, { signal });
    if (verdicts.length === items.length) return Array.from(verdicts, (verdict) => checkVerdict(verifier.name, verdict));
    return items.map(() => failedVerdict(`The verifier ${verifier.name} returned ${verdicts.length} verdicts for ${items.length} answers.`));
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof PrimekitError && error.code === "ERR_UNSUPPORTED") throw error; // nothing will ever be judged here
    return items.map(() => failedVerdict(`The verifier ${verifier.name} failed: ${error instanceof Error ? error.message : String(error)}`));
  }
}

// --- internal ---

const OUTCOMES: Verdict["outcome"][] = ["correct", "wrong", "timeout", "error"];

function makeGroup(position: number, problem: Problem, prompt: Int32Array, samples: Sample[]): Group {
  const accuracy = samples.reduce((sum, sample) => sum + sample.verdict.score, 0) / samples.length;
  const decided = samples.every(({ verdict: { outcome, settled } }) => outcome === "correct" || outcome === "wrong" || (outcome === "timeout" && settled));
  return { position, problem, prompt, samples, accuracy, decided };
}

function checkVerdict(verifier: string, verdict: Verdict): Verdict {
  const { score, outcome } = (verdict ?? {}) as Partial<Verdict>;
  if (!(typeof score === "number" && score >= 0 && score <= 1))
    return failedVerdict(`The verifier ${verifier} returned the score ${score}; a score is a number from 0 to 1.`);
  if (outcome && OUTCOMES.includes(outcome)) return verdict;
  return failedVerdict(`The verifier ${verifier} returned the outcome ${JSON.stringify(outcome)}; an outcome is one of ${OUTCOMES.join(", ")}.`);
}

function failedVerdict(reason: string): Verdict {
  return { score: 0, outcome: "error", extracted: undefined, reason };
}
