// The phases of one PRIME step that need more than a line: drawing groups, packing them, the PRM's training and its rewards.

import { absoluteAccuracy, pairwiseAccuracy } from "../algo/accuracy.ts";
import { algorithms, type ProcessRewards } from "../algo/estimators.ts";
import { type PrmTraining, trainPrm } from "../algo/prm.ts";
import { processRewards, processWeights } from "../algo/process_rewards.ts";
import { implicitRewards } from "../kernels.ts";
import type { Model } from "../model.ts";
import { type Collected, collectGroups } from "../rollout/collect.ts";
import { concat, responseOffsets, rowsOfGroups } from "../rollout/pack.ts";
import { sampleGroups } from "../rollout/sample.ts";
import { scoreRows } from "../rollout/score.ts";
import type { Group, Row } from "../rollout/types.ts";
import type { PrimeTrainer } from "./prime_trainer.ts";

/** The kept groups, packed; and the rows the PRM trains on, of which the kept ones come first. */
export interface StepBatch {
  rows: Row[]; // [B] kept
  offsets: Int32Array; // [B+1] of response tokens
  outcome: Float32Array; // [B]
  oldLogprobs: Float32Array; // [N]
  leaveOut: ReadonlySet<number>; // truncated rows, where these are masked
  reference: Float32Array | undefined; // [N] for the policy's KL term
  prm: { rows: Row[]; labels: Float32Array; reference: Float32Array } | undefined; // B' >= B rows, N' >= N tokens
}

/** What the PRM said about the batch, and what became of it. */
export interface Judged {
  process: (ProcessRewards & { scores: Float32Array }) | undefined; // of the kept rows
  weight: number; // share of processCoef that counts in this step
  freezesPolicy: boolean;
  training: PrmTraining | undefined;
  pairAccuracy: number | undefined; // before training on these rows
  accuracy: number | undefined; // the same, over all rows of the PRM
}

/** Draws groups for this step. A policy frozen during the PRM's warm-up needs no full batch of kept groups: one draw does. */
export async function drawGroups(t: PrimeTrainer): Promise<Collected> {
  const { config, state, task, policy, clock } = t;
  const { seed, maxNewTokens, temperature, topP, topK } = config;
  const announce = (done?: number, total?: number) =>
    t.emit({ type: "phase", trainer: "prime", phase: "rollout", step: state.step, steps: config.steps, done, total });
  await t.turn(policy);
  const maxDraws = isWarmup(t) && config.prmWarmup === "freeze" ? 1 : config.maxDraws;
  return collectGroups(
    task.train,
    state.cursor,
    (problems, draw) => {
      announce();
      // Streams are a pure function of step, draw and place in the draw, so they never meet and never depend on what came before.
      const firstSequence = (BigInt(state.step) << 40n) | (BigInt(draw) << 28n);
      const sampling = { samples: config.samplesPerPrompt, maxNewTokens, temperature, topP, topK, seed, firstSequence, maxBatch: config.generationSlots };
      return sampleGroups(policy, task, problems, { ...sampling, onProgress: announce, signal: t.signal, timer: (phase, work) => clock.time(phase, work) });
    },
    { prompts: config.promptsPerStep, filterLow: config.filterLow, filterHigh: config.filterHigh, maxDraws },
  );
}

/** Packs the kept groups (and, for the PRM, where asked for, all others with a verdict) and computes the log-probs that no update may change. */
export async function packStep(t: PrimeTrainer, { kept, rest }: Collected): Promise<StepBatch> {
  const { config, policy } = t;
  const samples = kept.flatMap((group) => group.samples);
  const rows = rowsOfGroups(kept);
  const oldLogprobs = config.oldLogprobs === "recompute" ? await score(t, policy, rows, config.temperature) : sampledLogprobs(kept);
  const prm = await packPrm(t, kept, rest, oldLogprobs);
  return {
    rows,
    offsets: responseOffsets(rows),
    outcome: Float32Array.from(samples, (sample) => sample.verdict.score),
    oldLogprobs,
    leaveOut: new Set(config.maskTruncated ? samples.flatMap((sample, row) => (sample.truncated ? [row] : [])) : []),
    reference: await klReference(t, rows, prm),
    prm,
  };
}

/** Trains the PRM and turns its log-ratios on the kept rows into process rewards. Its accuracy is taken from before it has seen the rows' outcomes. */
export async function judgeProcess(t: PrimeTrainer, batch: StepBatch): Promise<Judged> {
  const { config, state, prm } = t;
  if (!prm || !batch.prm) return { process: undefined, weight: 0, freezesPolicy: false, training: undefined, pairAccuracy: undefined, accuracy: undefined };
  const { rows, labels, reference } = batch.prm;
  const tokens = batch.offsets[batch.rows.length];
  await t.turn(prm);
  const data = { rows, labels, reference, groupSize: config.samplesPerPrompt };
  const trains = config.prmUpdate !== "none" && rows.length > 0;
  const training = trains ? await t.during("prm", () => trainPrm(prm, data, config, state.prmSkips, [config.seed, state.step, 0])) : undefined;
  const first = training?.firstPass ?? (await scorePrm(t, prm, rows));
  const used = config.prmUpdate === "before" ? await scorePrm(t, prm, batch.rows) : first.subarray(0, tokens);

  const before = implicitRewards(first, reference, responseOffsets(rows), { beta: config.prmBeta }).scores;
  const pairAccuracy = pairwiseAccuracy(before.subarray(0, batch.rows.length), batch.outcome, config.samplesPerPrompt);
  if (pairAccuracy !== undefined) state.pairAccuracy = config.pairAccuracyDecay * state.pairAccuracy + (1 - config.pairAccuracyDecay) * pairAccuracy;
  const warmup = isWarmup(t);
  return {
    process: processRewards(used, reference.subarray(0, tokens), batch.offsets, config),
    weight: warmup ? 0 : processWeights[config.processWeight](state.pairAccuracy),
    freezesPolicy: warmup && config.prmWarmup === "freeze",
    training,
    pairAccuracy,
    accuracy: absoluteAccuracy(before, labels),
  };
}

// --- internal ---

function isWarmup({ config, state }: PrimeTrainer): boolean {
  return algorithms[config.algo].process && state.step < config.prmWarmupSteps;
}

async function score(t: PrimeTrainer, model: Model, rows: Row[], temperature: number): Promise<Float32Array> {
  await t.turn(model);
  return t.during("score", () => scoreRows(model, rows, { maxTokensPerBatch: t.config.maxTokensPerBatch, temperature, signal: t.signal }));
}

/** Without temperature, which is the policy's alone; and to the end, as weights have changed. */
function scorePrm(t: PrimeTrainer, prm: Model, rows: Row[]): Promise<Float32Array> {
  return t.during("prm", () => scoreRows(prm, rows, { maxTokensPerBatch: t.config.maxTokensPerBatch }));
}

/** The PRM's rows, kept ones first, and their reference log-probs: of the frozen model, or of the policy that sampled them; at temperature 1, as the PRM's. */
async function packPrm(t: PrimeTrainer, kept: readonly Group[], rest: readonly Group[], oldLogprobs: Float32Array): Promise<StepBatch["prm"]> {
  const { config, prm, reference, policy } = t;
  if (!prm) return undefined;
  const others = config.prmData === "all" && config.prmUpdate !== "none" ? rest.filter((group) => group.decided) : [];
  const groups = [...kept, ...others];
  const rows = rowsOfGroups(groups);
  const judge = config.reference === "sft" && reference ? reference : policy;
  const known = judge === policy && config.temperature === 1;
  return {
    rows,
    labels: Float32Array.from(
      groups.flatMap((group) => group.samples),
      (sample) => sample.verdict.score,
    ),
    reference: known ? concat([oldLogprobs, sampledLogprobs(others)]) : await score(t, judge, rows, 1),
  };
}

/** The frozen model's log-probs of the kept rows at the policy's temperature, for the KL term; the PRM's where these are the same. */
async function klReference(t: PrimeTrainer, rows: Row[], prm: StepBatch["prm"]): Promise<Float32Array | undefined> {
  const { config, reference } = t;
  if (config.klCoef === 0 || !reference) return undefined;
  const same = prm && config.reference === "sft" && config.temperature === 1;
  return same ? prm.reference.subarray(0, responseOffsets(rows)[rows.length]) : score(t, reference, rows, config.temperature);
}

function sampledLogprobs(groups: readonly Group[]): Float32Array {
  return concat(groups.flatMap((group) => group.samples.map((sample) => sample.logprobs)));
}
