// The options of the PRM trainer: one flat typed object, as in config.ts.

import { z } from "zod";
import { type PrmLoss, prmLosses } from "../algo/prm_losses.ts";
import { PrimekitError } from "../errors.ts";
import { choice, flag, int, names, optimizer, parseOptions, positive, real } from "./config.ts";

const losses = Object.entries(prmLosses)
  .map(([name, { summary }]) => `${name} (${summary})`)
  .join("; ");

export const prmConfigSchema = z.strictObject({
  loss: choice(names(prmLosses), "ce", `loss on labels of whole answers: ${losses}`),
  beta: positive(0.05, "scale of the log-ratio: the score is beta * sum (log PRM - log reference)"),
  stepShare: real(0.5, 0, 1, "share of each batch that has labels of steps, where the data has both kinds"),
  epochs: positive(1, "passes over the data"),
  steps: int(0, 0, "optimizer steps; 0 = as many as the epochs take"),
  batchSize: int(64, 1, "answers per step; losses that compare answers take whole groups until it is reached"),
  ...optimizer({ lr: 1e-5, warmupSteps: 0, decay: "constant", gradClip: 10 }),
  beta2: real(0.999, 0, 0.999999, "AdamW's second moment decay"),
  maxLength: int(4096, 2, "longest prompt and answer, in tokens"),
  truncate: flag(false, "cut over-long answers instead of refusing them"),
  evalShare: real(0.05, 0, 0.9, "share of the prompts that is held out for evaluation; 0 = none"),
  evalEvery: int(0, 0, "evaluate every so many steps; 0 = at the start and the end only"),
  saveEvery: int(100, 0, "checkpoint every so many steps; 0 = at the end and when stopped only"),
  maxTokensPerBatch: int(8192, 1, "tokens (prompt + answer) in one forward/backward pass"),
  maxSkippedUpdates: int(3, 1, "stop after so many non-finite updates in a row"),
  seed: z.number().int().min(0).max(0xffffffff).default(1).describe("seed of the order of the data and of what is held out"),
});

export type PrmConfig = z.output<typeof prmConfigSchema>;
export type PrmConfigInput = z.input<typeof prmConfigSchema>;
export type { PrmLoss };

/** A complete PRM config. Throws ERR_CONFIG with one line per problem, also where options contradict each other. */
export function parsePrmConfig(input: PrmConfigInput): PrmConfig {
  const config = parseOptions(prmConfigSchema, input, "PRM");
  if (prmLosses[config.loss].whole && config.batchSize < 2)
    throw new PrimekitError("ERR_CONFIG", `batchSize must be at least 2 for the loss ${config.loss}, which compares answers, but got ${config.batchSize}.`);
  return config;
}
