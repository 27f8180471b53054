// Process rewards of given answers: per step, per token, and the running Q, from a PRM and its reference.

import { type EncodedExample, encodeExample, type PromptFormat } from "../data/prm/encode.ts";
import type { PrmExample } from "../data/prm/example.ts";
import { PrimekitError } from "../errors.ts";
import { implicitRewards, stepRewards } from "../kernels.ts";
import type { Model } from "../model.ts";
import { responseOffsets } from "../rollout/pack.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { cachedLogprobs, type LogprobCache } from "./logprob_cache.ts";

export interface ScoredToken {
  text: string; // what it adds to the answer; empty for the end of text and for all but one of the tokens that share a character
  reward: number; // beta * (log PRM - log reference)
}

export interface ScoredStep {
  text: string;
  reward: number; // sum over its tokens
  q: number; // running sum at its end
  label?: number; // whether the answer is right so far, where the data says
  tokens?: ScoredToken[];
}

export interface ScoredAnswer {
  id: string;
  prompt: string; // the question as people read it: of a conversation, what the user said last
  label?: number; // whether the answer is right, where the data says
  score: number; // Q at the end
  steps: ScoredStep[];
  truncated: boolean; // cut to fit (then without its last steps), or cut off when it was made
}

export interface JudgeOptions {
  beta: number;
  tokens?: boolean; // keep the rewards of tokens
  promptFormat?: PromptFormat;
  maxLength?: number;
  truncate?: boolean;
  maxTokensPerBatch: number;
  /** Where the models' log-probs are kept, so that what was interrupted goes on where it was, and another beta costs nothing. */
  caches?: { prm: LogprobCache; reference: LogprobCache };
  onProgress?: (done: number, total: number) => void; // answers, by both models
  onWarning?: (message: string) => void;
  signal?: AbortSignal;
}

type Judge = Pick<Model, "logprobs"> & { dtype?: string };

/**
 * Judges answers in the order given. A step's reward is the sum over its tokens, so that the rewards of all steps add up to the score; the end-of-text
 * token belongs to the last step. Throws ERR_DATA (see encodeExample) and ERR_NON_FINITE, naming the answer, when a reward is not a number.
 */
export async function judgeAnswers(
  judges: { prm: Judge; reference: Judge },
  tokenizer: Tokenizer,
  examples: readonly PrmExample[],
  o: JudgeOptions,
): Promise<ScoredAnswer[]> {
  const rows = examples.map((example) => encodeExample(tokenizer, example, o));
  const logprobsOf = (model: Judge, done: number, cache?: LogprobCache) =>
    cachedLogprobs(model, rows, { ...o, cache, onProgress: (count, total) => o.onProgress?.(done + count, 2 * total) });
  const prm = await logprobsOf(judges.prm, 0, o.caches?.prm);
  const reference = await logprobsOf(judges.reference, rows.length, o.caches?.reference);
  const offsets = responseOffsets(rows);
  const { rewards, q } = implicitRewards(prm, reference, offsets, { beta: o.beta });
  return rows.map((row, i) => {
    const [from, to] = [offsets[i], offsets[i + 1]];
    return describe(examples[i], row, rewards.subarray(from, to), q.subarray(from, to), o.tokens ?? false);
  });
}

// --- internal ---

function describe(example: PrmExample, row: EncodedExample, rewards: Float32Array, q: Float32Array, tokens: boolean): ScoredAnswer {
  const bad = rewards.findIndex((reward) => !Number.isFinite(reward));
  if (bad >= 0)
    throw new PrimekitError(
      "ERR_NON_FINITE",
      `${example.id}: the process reward of token ${bad + 1} of ${rewards.length} is ${rewards[bad]}; one of the models is broken.`,
    );
  const { cumulative, perStep } = stepRewards(q, Int32Array.of(0, q.length), row.stepEnds, Int32Array.of(0, row.stepEnds.length));
  const text = example.steps.join("");
  const pieceOf = (t: number) => text.slice(t === 0 ? 0 : row.textEnds[t - 1], row.textEnds[t]);
  const steps = Array.from(row.stepEnds, (end, k): ScoredStep => {
    const first = k === 0 ? 0 : row.stepEnds[k - 1] + 1;
    const positions = Array.from({ length: end + 1 - first }, (_, i) => first + i);
    const label = example.stepLabels?.[k];
    return {
      text: positions.map(pieceOf).join(""),
      reward: perStep[k],
      q: cumulative[k],
      ...(label === undefined ? {} : { label }),
      ...(tokens ? { tokens: positions.map((t) => ({ text: pieceOf(t), reward: rewards[t] })) } : {}),
    };
  });
  return {
    id: example.id,
    prompt: questionOf(example.prompt),
    ...(example.label === undefined ? {} : { label: example.label }),
    score: q.length === 0 ? 0 : q[q.length - 1],
    steps,
    truncated: row.truncated || example.open === true,
  };
}

/** The last thing the user said; in a text with ChatML marks what stands between those of the user. */
function questionOf(prompt: PrmExample["prompt"]): string {
  if (typeof prompt !== "string") return prompt.findLast((message) => message.role === "user")?.content ?? prompt.map(({ content }) => content).join("\n");
  return prompt.match(/<\|im_start\|>user\n([\s\S]*?)<\|im_end\|>(?![\s\S]*<\|im_start\|>user)/)?.[1] ?? prompt;
}
