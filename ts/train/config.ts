// The options of the trainers: one flat typed object each. Defaults live here, once; unknown keys are rejected by name; --help is made from the descriptions.

import { z } from "zod";
import { type Algorithm, algorithms } from "../algo/estimators.ts";
import { type PrmLoss, prmLosses } from "../algo/prm.ts";
import { type ProcessWeight, processWeights } from "../algo/process_rewards.ts";
import type { Decay } from "../algo/schedule.ts";
import { PrimekitError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";

export const int = (fallback: number, min: number, text: string) => z.number().int().min(min).default(fallback).describe(text);
export const real = (fallback: number, min: number, max: number, text: string) => z.number().min(min).max(max).default(fallback).describe(text);
export const positive = (fallback: number, text: string) => z.number().positive().default(fallback).describe(text);
export const choice = <const T extends readonly [string, ...string[]]>(names: T, fallback: T[number], text: string) =>
  z
    .enum(names)
    .default(fallback as never)
    .describe(text);
export const flag = (fallback: boolean, text: string) => z.boolean().default(fallback).describe(text);
export const names = <K extends string>(table: Record<K, unknown>) => Object.keys(table) as [K, ...K[]];
export const big = Number.MAX_VALUE;

/** The optimizer and its schedule, with a trainer's own defaults; `whose` ends the descriptions. */
export const optimizer = (o: { lr: number; warmupSteps: number; decay: Decay; gradClip: number }, whose = "") => ({
  lr: positive(o.lr, `peak learning rate${whose}`),
  warmupSteps: int(o.warmupSteps, 0, "steps of linear warm-up"),
  decay: choice(["constant", "linear", "cosine"], o.decay, `learning-rate schedule${whose} after warm-up`),
  finalLrRatio: real(0.1, 0, 1, "last learning rate, as a share of the peak"),
  weightDecay: real(0, 0, big, `decoupled weight decay${whose}`),
  gradClip: real(o.gradClip, 0, big, `global gradient norm limit${whose}; 0 = off`),
});

const shared = {
  seed: z.number().int().min(0).max(0xffffffff).default(1).describe("seed of everything random"),
  maxNewTokens: int(96, 1, "longest answer, in tokens"),
  maxTokensPerBatch: int(8192, 1, "tokens (prompt + answer) in one forward/backward pass"),
  generationSlots: int(256, 1, "sequences decoded at once"),
  evalEvery: int(0, 0, "measure held-out accuracy every so many steps; 0 = at the start and the end only"),
  evalProblems: int(256, 0, "held-out problems to measure on; 0 = all"),
  saveEvery: int(50, 0, "checkpoint every so many steps; 0 = at the end and when stopped only"),
  maxSkippedUpdates: int(3, 1, "stop after so many non-finite updates in a row"),
};

/** Options of fine-tuning, each with its default and a description. */
export const sftConfigSchema = z.strictObject({
  steps: int(600, 1, "optimizer steps"),
  batchSize: int(64, 1, "demonstrations per step"),
  ...optimizer({ lr: 1e-3, warmupSteps: 20, decay: "linear", gradClip: 1 }),
  beta2: real(0.999, 0, 0.999999, "AdamW's second moment decay"),
  stopAccuracy: real(0, 0, 1, "stop as soon as held-out accuracy reaches this (checked every evalEvery steps); 0 = run all steps"),
  ...shared,
});

/** Options of PRIME and its siblings, likewise. */
export const primeConfigSchema = z.strictObject({
  steps: int(100, 0, "rollout steps"),
  algo: choice(names(algorithms), "prime", `advantage estimator: ${summaries(algorithms)}`),

  promptsPerStep: int(64, 1, "prompts (groups) in an update"),
  samplesPerPrompt: int(4, 1, "answers per prompt (G); leave-one-out needs two"),
  temperature: positive(1, "sampling temperature"),
  topP: z.number().gt(0).max(1).default(1).describe("nucleus sampling; 1 = off"),
  topK: int(0, 0, "sample among the k most likely tokens; 0 = off"),
  filterLow: real(0.2, 0, 1, "keep prompts with a mean accuracy of at least this"),
  filterHigh: real(0.8, 0, 1, "keep prompts with a mean accuracy of at most this"),
  maxDraws: int(8, 1, "draws of prompts per step; the step goes on with what passed by then"),

  ...optimizer({ lr: 1e-4, warmupSteps: 0, decay: "constant", gradClip: 1 }, " of the policy"),
  policyMinibatches: int(1, 1, "policy updates per pass over the batch"),
  policyEpochs: int(1, 1, "passes over the batch"),
  clipLow: real(0.2, 0, 1, "clip the probability ratio at 1 - this"),
  clipHigh: real(0.2, 0, big, "clip the probability ratio at 1 + this"),
  dualClip: real(0, 0, big, "bound of the loss of negative advantages, as a multiple (above 1); 0 = off"),
  aggregate: choice(["token-mean", "sequence-mean", "sequence-sum-mean"], "token-mean", "how token losses are averaged"),
  klCoef: real(0, 0, big, "weight of the KL term towards the reference; 0 = off"),
  entropyCoef: real(0, 0, big, "weight of the entropy bonus; 0 = off"),
  maskTruncated: flag(false, "leave answers cut by the length limit out of the policy update (they still count in the group's baseline)"),
  oldLogprobs: choice(
    ["generation", "recompute"],
    "generation",
    "the sampling log-probs: as returned by generation (same engine, within 1e-5 in float32), or a forward pass",
  ),

  baseline: choice(["leave-one-out", "released"], "leave-one-out", "group baseline: the paper's Eq. 5, or the published code's"),
  whiten: flag(true, "standardise advantages over all tokens of the batch"),
  gammaOutcome: real(1, 0, 1, "discount of the outcome reward"),
  gammaProcess: real(1, 0, 1, "discount of process rewards"),
  outcomeCoef: real(1, 0, big, "weight of outcome rewards"),
  processCoef: real(1, 0, big, "weight of process rewards"),
  processWeight: choice(names(processWeights), "constant", "further factor on processCoef: 1, or 2a-1 with a = the PRM's running accuracy within groups"),
  processClip: real(0, 0, big, "bound of each token's process reward, before scaling; 0 = off"),
  normalizeProcess: choice(
    ["none", "batch", "std"],
    "none",
    "divide process rewards by the largest absolute return of the batch, or (std) by the returns' root mean square after the baseline",
  ),

  prmUpdate: choice(["before", "after", "none"], "before", "train the PRM before scoring, after (rewards from the training pass), or never"),
  prmLoss: choice(names(prmLosses), "ce", `PRM loss: ${summaries(prmLosses)}`),
  prmData: choice(["kept", "all"], "all", "train the PRM on kept groups, or on every group drawn"),
  prmLr: positive(1e-4, "PRM learning rate"),
  prmBeta: positive(0.05, "scale of the log-ratio in rewards and PRM loss"),
  prmWeightDecay: real(0, 0, big, "decoupled weight decay of the PRM"),
  prmGradClip: real(10, 0, big, "global gradient norm limit of the PRM; 0 = off"),
  prmEpochs: int(1, 1, "passes over the PRM's data per step"),
  prmMinibatches: int(1, 1, "PRM updates per pass"),
  prmWarmupSteps: int(0, 0, "first steps in which the PRM trains but its rewards do not count"),
  prmWarmup: choice(["outcome", "freeze"], "outcome", "the policy meanwhile: trains on outcomes alone, or stays as it is"),
  pairAccuracyDecay: real(0.9, 0, 1, "memory of the running accuracy within groups"),
  reference: choice(["sft", "policy"], "sft", "reference of the log-ratio: the frozen starting model, or the sampling policy"),

  offload: flag(false, "policy, PRM and reference take turns on the GPU, for memory: the others wait in the host's; on the CPU this changes nothing"),
  sampleAnswers: int(4, 0, "answers shown at the end"),
  rolloutsEvery: int(10, 0, "keep a step's rollouts in the run folder every so many steps; 0 = never"),
  ...shared,
});

export type SftConfig = z.output<typeof sftConfigSchema>;
export type SftConfigInput = z.input<typeof sftConfigSchema>;
export type PrimeConfig = z.output<typeof primeConfigSchema>;
export type PrimeConfigInput = z.input<typeof primeConfigSchema>;
export type { Algorithm, PrmLoss, ProcessWeight };

/** A complete SFT config. Throws ERR_CONFIG with one line per problem: option, expected, got. */
export function parseSftConfig(input: SftConfigInput): SftConfig {
  return parseOptions(sftConfigSchema, input, "fine-tuning");
}

/** A complete PRIME config. Throws ERR_CONFIG with one line per problem, also where options contradict each other. */
export function parsePrimeConfig(input: PrimeConfigInput): PrimeConfig {
  const config = parseOptions(primeConfigSchema, input, "PRIME");
  const groupwise = !["reinforce", "prime-reinforce", "prime-ppo"].includes(config.algo);
  if (groupwise && config.samplesPerPrompt < 2)
    fail(`samplesPerPrompt must be at least 2 for ${config.algo} (each answer is compared with the others of its group), but got ${config.samplesPerPrompt}.`);
  if (config.samplesPerPrompt === 1 && config.filterLow > 0 && config.filterHigh < 1) {
    fail("samplesPerPrompt 1 needs filterLow 0 or filterHigh 1: the accuracy of a prompt with one answer is 0 or 1, so no prompt would pass the filter.");
  }
  if (config.filterLow > config.filterHigh) fail(`filterLow must not exceed filterHigh, but got ${config.filterLow} and ${config.filterHigh}.`);
  if (config.dualClip !== 0 && config.dualClip <= 1) fail(`dualClip must be 0 (off) or above 1, but got ${config.dualClip}.`);
  if (config.normalizeProcess === "batch" && algorithms[config.algo].process && config.algo !== "prime")
    fail(`normalizeProcess batch scales the process rewards of the algorithm prime alone, but algo is "${config.algo}": use std or none.`);
  return config;
}

/** A trainer's complete options. Throws ERR_CONFIG with one line per problem: option, expected, got. `what` names the trainer. */
export function parseOptions<S extends z.ZodObject>(schema: S, input: unknown, what: string): z.output<S> {
  const result = schema.safeParse(input ?? {});
  if (result.success) return result.data as z.output<S>;
  return fail(result.error.issues.map((issue) => sentence(issue, schema, input ?? {}, what)).join("\n"));
}

// --- internal ---

function sentence(issue: z.core.$ZodIssue, schema: { shape: object }, input: unknown, what: string): string {
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(key, Object.keys(schema.shape), what)).join("\n");
  const name = issue.path.join(".");
  if (name === "") return `The ${what} options must be an object: ${issue.message}.`;
  const got = (input as Record<string, unknown>)[String(issue.path[0])];
  return `The ${what} option ${name} has the value ${typeof got === "number" ? got : JSON.stringify(got)}: ${issue.message}.`;
}

function unknownKey(key: string, known: readonly string[], what: string): string {
  return `${key} is not a ${what} option.${didYouMean(key, known)}`;
}

function fail(message: string): never {
  throw new PrimekitError("ERR_CONFIG", message);
}

function summaries(table: Record<string, { summary: string }>): string {
  return Object.entries(table)
    .map(([name, { summary }]) => `${name} (${summary})`)
    .join("; ");
}
