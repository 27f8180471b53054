// One optimizer step over a minibatch, in micro-batches under a token budget; and what to do when it comes out non-finite.

import { PrimekitError } from "../errors.ts";
import type { Model, StepOptions, TokenGradients, TokenScores } from "../model.ts";
import { packRows } from "../rollout/pack.ts";
import type { Row } from "../rollout/types.ts";

/** What an update needs of a model. */
export type Trainable = Pick<Model, "forwardBackward" | "step">;

/** Loss and gradients of one micro-batch; `rows` are indices of its rows. Losses are already divided by the minibatch's normalizer, so they add up. */
export type MicroLoss = (rows: readonly number[], scores: TokenScores) => { loss: number } & TokenGradients;

export interface UpdateResult {
  loss: number; // of the minibatch
  gradNorm: number; // before clipping
  skipped: boolean; // non-finite: weights and optimizer are as before
}

/** Accumulates the gradients of all micro-batches of one minibatch, then takes one step. A non-finite loss skips the step. */
export async function updateMinibatch(
  model: Trainable,
  rows: readonly Row[],
  parts: readonly number[][],
  loss: MicroLoss,
  step: StepOptions,
  temperature = 1,
): Promise<UpdateResult> {
  let total = 0;
  for (const part of parts) {
    const batch = packRows(part.map((row) => rows[row]));
    await model.forwardBackward(
      batch,
      (scores) => {
        const result = loss(part, scores);
        total += result.loss;
        // step() skips on a non-finite gradient norm, so a non-finite loss is handed on as a non-finite gradient.
        if (!Number.isFinite(result.loss)) return { dLogprobs: new Float32Array(scores.logprobs.length).fill(Number.NaN) };
        return { dLogprobs: result.dLogprobs, dEntropy: result.dEntropy };
      },
      { temperature },
    );
  }
  const { gradNorm, skipped } = await model.step(step);
  return { loss: total, gradNorm, skipped };
}

/** Skipped updates so far, in all and in a row; part of a checkpoint. */
export interface SkipCounter {
  total: number;
  inARow: number;
}

/** Books one update. Throws ERR_NON_FINITE after `limit` skipped ones in a row. */
export function countSkips(counter: SkipCounter, skipped: boolean, what: string, limit: number): void {
  counter.total += Number(skipped);
  counter.inARow = skipped ? counter.inARow + 1 : 0;
  if (counter.inARow < limit) return;
  throw new PrimekitError(
    "ERR_NON_FINITE",
    `${counter.inARow} updates of ${what} in a row had a loss or gradient that was not finite, so training stopped; the weights are those of the last good update. A lower learning rate or a tighter gradient clip usually helps.`,
  );
}

/** Means over updates, skipped ones left out; undefined when none is left. */
export function meanOfUpdates(updates: readonly UpdateResult[], field: "loss" | "gradNorm"): number | undefined {
  const good = updates.filter((update) => !update.skipped);
  return good.length === 0 ? undefined : good.reduce((sum, update) => sum + update[field], 0) / good.length;
}
