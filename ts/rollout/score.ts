// Log-probabilities of many rows, in micro-batches under a token budget.

import type { Model } from "../model.ts";
import { packRows, range, responseOffsets, scatter, splitByTokens } from "./pack.ts";
import type { Row } from "./types.ts";

export interface ScoreOptions {
  maxTokensPerBatch: number;
  temperature?: number;
  signal?: AbortSignal;
}

/** The log-probability of every response token of every row, packed along responseOffsets(rows). No gradients. */
export async function scoreRows(model: Pick<Model, "logprobs">, rows: readonly Row[], o: ScoreOptions): Promise<Float32Array /* [N] */> {
  const offsets = responseOffsets(rows);
  const logprobs = new Float32Array(offsets[rows.length]);
  for (const part of splitByTokens(rows, range(rows.length), o.maxTokensPerBatch)) {
    const scores = await model.logprobs(packRows(part.map((row) => rows[row])), { temperature: o.temperature ?? 1, signal: o.signal });
    scatter(logprobs, offsets, part, scores.logprobs);
  }
  return logprobs;
}
