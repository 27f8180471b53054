// Examples as rows of packed batches, and the loss on their learned tokens.
import type { MicroLoss } from "../algo/update.ts";
import type { Model } from "../model.ts";
import { packRows, range, splitByTokens } from "../rollout/pack.ts";
import type { Row } from "../rollout/types.ts";
import type { LearnedTokens } from "../tokenizer/conversation.ts";

/** An example as a row of a batch: what comes before its first learned token is context, all behind it is scored. */
export interface LearnedRow extends Row {
  learned: Uint8Array; // [T] of the response's tokens, 1: the loss counts it
}

export function toRow({ tokens, learned }: LearnedTokens): LearnedRow {
  const first = learned.indexOf(1);
  return { prompt: tokens.subarray(0, first), response: tokens.subarray(first), learned: learned.subarray(first) };
}

/** How many tokens of all rows are learned. */
export function learnedTokens(rows: readonly LearnedRow[]): number {
  return rows.reduce((sum, { learned }) => sum + learned.reduce((n, is) => n + is, 0), 0);
}

/** Mean of -log p over the minibatch's `tokens` learned tokens; the others have no gradient. */
export function negativeLogLikelihood(all: readonly LearnedRow[], tokens: number): MicroLoss {
  return (part, { logprobs, offsets }) => {
    const dLogprobs = new Float32Array(logprobs.length);
    let sum = 0;
    part.forEach((row, i) => {
      all[row].learned.forEach((is, t) => {
        if (!is) return;
        sum += logprobs[offsets[i] + t];
        dLogprobs[offsets[i] + t] = -1 / tokens;
      });
    });
    return { loss: -sum / tokens, dLogprobs };
  };
}

/** Mean of -log p over the learned tokens of examples, in batches of at most `maxTokens` tokens. */
export async function heldOutLoss(model: Model, examples: readonly LearnedTokens[], maxTokens: number, signal?: AbortSignal): Promise<number> {
  const rows = examples.map(toRow);
  const loss = negativeLogLikelihood(rows, learnedTokens(rows));
  let total = 0;
  for (const part of splitByTokens(rows, range(rows.length), maxTokens)) {
    signal?.throwIfAborted();
    total += loss(part, await model.logprobs(packRows(part.map((row) => rows[row])), { signal })).loss;
  }
  return total;
}
