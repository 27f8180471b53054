// What a PRIME run reports: a metrics row per step, rollouts for people to read, evaluations, the result.

import { pairwiseAccuracy } from "../algo/accuracy.ts";
import type { PolicyTraining } from "../algo/policy.ts";
import { discountedReturns } from "../algo/returns.ts";
import { measureAccuracy } from "../eval/accuracy.ts";
import { type SampleAnswer, sampleAnswers } from "../eval/answers.ts";
import { type JudgedSteps, stepAccuracy, stepEnds, stepVerdicts } from "../eval/steps.ts";
import type { Model } from "../model.ts";
import type { Collected } from "../rollout/collect.ts";
import type { Group } from "../rollout/types.ts";
import { type MetricValues, metricRow, PhaseClock } from "./metrics.ts";
import type { Judged, StepBatch } from "./prime_phases.ts";
import type { HistoryPoint, PrimeTrainer } from "./prime_trainer.ts";

export interface PrimeResult {
  stopped: boolean; // by the signal, before the last step
  step: number; // steps completed
  accuracyBefore: number | undefined; // held-out, greedy
  accuracyAfter: number | undefined; // undefined when stopped before the last evaluation
  pairAccuracy: number | undefined; // of the PRM within kept groups: mean over the last tenth of the steps
  history: HistoryPoint[];
  seconds: Record<string, number>; // by phase, over the whole run, resumed parts included
  tokens: { trained: number; generated: number };
  tokensPerSecond: number; // trained, over all seconds
  generatedPerSecond: number; // over the seconds of generation
  skippedUpdates: number;
  answers: SampleAnswer[];
}

export interface StepOutcome {
  groups: Collected;
  batch: StepBatch;
  judged: Judged;
  update: PolicyTraining | undefined; // absent when no prompt passed the filter or the policy was frozen
  lr: number;
}

/** Completes a step: the state moves on, then its row and rollouts are written. */
export async function finishStep(t: PrimeTrainer, outcome: StepOutcome): Promise<void> {
  const { config, state, run } = t;
  const values: MetricValues = { ...rolloutMetrics(outcome.groups), ...rewardMetrics(t, outcome), ...updateMetrics(t, outcome) };
  state.step++;
  state.cursor = outcome.groups.cursor;
  state.tokens.trained += sequenceTokens(outcome);
  state.tokens.generated += values["rollout/tokens"] ?? 0;
  state.history.push({ step: state.step, accuracy: values["rollout/accuracy"], pairAccuracy: outcome.judged.pairAccuracy });
  const { seconds, elapsed } = takeTimes(t);
  const row = metricRow({
    step: state.step,
    ...values,
    ...Object.fromEntries(Object.entries(seconds).map(([phase, s]) => [`time/${phase}`, s])),
    "time/step": elapsed,
    "time/tokensPerSecond": sequenceTokens(outcome) / elapsed,
    "time/generatedPerSecond": (values["rollout/tokens"] ?? 0) / (seconds.rollout ?? Number.NaN),
  });
  await run?.appendMetrics(row);
  if (config.rolloutsEvery > 0 && state.step % config.rolloutsEvery === 0) await run?.writeRollouts(state.step, rolloutRecords(outcome));
  for (const message of warnings(outcome)) t.emit({ type: "warning", trainer: "prime", step: state.step, message });
  t.emit({ type: "step", trainer: "prime", step: state.step, steps: config.steps, metrics: row });
}

/** Held-out accuracy of the policy as it is, a row of its own; nothing without held-out problems. */
export async function evaluate(t: PrimeTrainer): Promise<void> {
  const { config, state, task } = t;
  const problems = config.evalProblems === 0 ? task.heldOut : task.heldOut.slice(0, config.evalProblems);
  if (problems.length === 0) {
    state.evaluatedStep = state.step;
    return;
  }
  const onProgress = (done: number, total: number) =>
    t.emit({ type: "phase", trainer: "prime", phase: "eval", step: state.step, steps: config.steps, done, total });
  const options = { maxNewTokens: config.maxNewTokens, maxBatch: config.generationSlots, onProgress, signal: t.signal };
  await t.turn(t.policy);
  const { accuracy, truncated } = await t.during("eval", () => measureAccuracy(t.policy, task, problems, options));
  state.evaluatedStep = state.step;
  const last = state.history.at(-1);
  if (last?.step === state.step) last.evalAccuracy = accuracy;
  else state.history.push({ step: state.step, evalAccuracy: accuracy });
  const { seconds } = takeTimes(t);
  await t.run?.appendMetrics(metricRow({ step: state.step, "eval/accuracy": accuracy, "eval/truncated": truncated, "time/eval": seconds.eval }));
  t.emit({ type: "eval", trainer: "prime", step: state.step, steps: config.steps, accuracy });
}

/** The result, with sample answers unless the run was stopped. */
export async function finish(t: PrimeTrainer): Promise<PrimeResult> {
  const { config, state, task } = t;
  const stopped = state.step < config.steps || state.evaluatedStep !== state.step;
  takeTimes(t);
  const reference = config.reference === "policy" ? t.policy : t.reference;
  const judges = t.prm && reference && { prm: inTurn(t, t.prm), reference: inTurn(t, reference) };
  await t.turn(t.policy);
  const answers = stopped ? [] : await sampleAnswers(t.policy, judges, task, task.heldOut.slice(0, config.sampleAnswers), config);
  const evaluated = state.history.filter((point) => point.evalAccuracy !== undefined);
  const judged = state.history.filter((point) => point.pairAccuracy !== undefined);
  const lastJudged = judged.slice(-Math.ceil(judged.length / 10));
  const total = Object.values(state.seconds).reduce((sum, s) => sum + s, 0);
  return {
    stopped,
    step: state.step,
    accuracyBefore: evaluated.find((point) => point.step === 0)?.evalAccuracy,
    accuracyAfter: stopped ? undefined : evaluated.at(-1)?.evalAccuracy,
    pairAccuracy: mean(lastJudged.map((point) => point.pairAccuracy as number)),
    history: state.history,
    seconds: state.seconds,
    tokens: state.tokens,
    tokensPerSecond: total > 0 ? state.tokens.trained / total : 0,
    generatedPerSecond: state.seconds.rollout > 0 ? state.tokens.generated / state.seconds.rollout : 0,
    skippedUpdates: state.policySkips.total + state.prmSkips.total,
    answers,
  };
}

// --- internal ---

/** A model that has the GPU when it scores. */
function inTurn(t: PrimeTrainer, model: Model): Pick<Model, "logprobs"> {
  return { logprobs: (batch, options) => t.turn(model).then(() => model.logprobs(batch, options)) };
}

function rolloutMetrics({ kept, rest, draws, cursor }: Collected): MetricValues {
  const groups = [...kept, ...rest];
  const samples = groups.flatMap((group) => group.samples);
  const lengths = samples.map((sample) => sample.tokens.length);
  const decided = groups.filter((group) => group.decided);
  return metricRow({
    "rollout/accuracy": mean(samples.map((sample) => sample.verdict.score)),
    "rollout/allWrong": mean(decided.map((group) => Number(group.accuracy === 0))),
    "rollout/allCorrect": mean(decided.map((group) => Number(group.accuracy === 1))),
    "rollout/prompts": groups.length,
    "rollout/kept": kept.length,
    "rollout/surplus": rest.filter((group) => cursor.pending.includes(group.position)).length,
    "rollout/draws": draws,
    "rollout/length": mean(lengths),
    "rollout/lengthMax": lengths.reduce((max, length) => Math.max(max, length), 0),
    "rollout/truncated": mean(samples.map((sample) => Number(sample.truncated))),
    "rollout/tokens": lengths.reduce((sum, length) => sum + length, 0),
    "verifier/timeouts": samples.filter((sample) => sample.verdict.outcome === "timeout").length,
    "verifier/errors": samples.filter((sample) => sample.verdict.outcome === "error").length,
  });
}

function rewardMetrics({ config, state, task }: PrimeTrainer, { groups, batch, judged }: StepOutcome): MetricValues {
  const outcomes = Array.from(batch.outcome);
  const { process, training } = judged;
  if (!process) return metricRow({ "reward/outcome": mean(outcomes) });
  const sums = outcomes.map((_, row) => process.rewards.subarray(batch.offsets[row], batch.offsets[row + 1]).reduce((sum, r) => sum + r, 0));
  const returns = discountedReturns(process.rewards, batch.offsets, config.gammaProcess);
  const square = mean(Array.from(returns, (x) => x * x));
  return metricRow({
    "reward/outcome": mean(outcomes),
    "reward/process": mean(sums),
    "reward/processCorrect": mean(sums.filter((_, row) => outcomes[row] > 0.5)),
    "reward/processWrong": mean(sums.filter((_, row) => outcomes[row] <= 0.5)),
    "reward/processStd": square === undefined ? undefined : Math.sqrt(square),
    "prm/loss": training?.loss,
    "prm/gradNorm": training?.gradNorm,
    "prm/rows": training && batch.prm?.rows.length,
    "prm/pairAccuracy": judged.pairAccuracy,
    "prm/pairAccuracyUsed": pairwiseAccuracy(process.scores, batch.outcome, config.samplesPerPrompt),
    "prm/pairAccuracyRunning": state.pairAccuracy,
    "prm/accuracy": judged.accuracy,
    "prm/stepAccuracy": stepAccuracy(judgedSteps(task, groups.kept, process.rewards, batch.offsets)),
    "prm/weight": judged.weight * config.processCoef,
    "prm/skipped": state.prmSkips.total,
  });
}

/** Each kept answer's rewards by step, beside what the task says of the steps; nothing for tasks that do not judge steps. */
function judgedSteps(task: PrimeTrainer["task"], kept: readonly Group[], rewards: Float32Array, offsets: Int32Array): JudgedSteps[] {
  if (!task.checkSteps) return [];
  const samples = kept.flatMap(({ problem, samples }) => samples.map((sample) => ({ problem, sample })));
  return samples.map(({ problem, sample }, row) => {
    const ends = stepEnds(task.tokenizer, sample.tokens);
    const sums = ends.map((end, i) => rewards.subarray(offsets[row] + (i === 0 ? 0 : ends[i - 1] + 1), offsets[row] + end + 1).reduce((sum, r) => sum + r, 0));
    return { rewards: sums, correct: stepVerdicts(task, problem, sample.text, ends.length) };
  });
}

function updateMetrics({ state }: PrimeTrainer, { batch, update, lr }: StepOutcome): MetricValues {
  return metricRow({
    lr,
    "policy/loss": update?.loss,
    "policy/gradNorm": update?.gradNorm,
    "policy/entropy": update?.entropy,
    "policy/approxKl": update?.approxKl,
    "policy/ratioMax": update?.ratioMax,
    "policy/clipFraction": update?.clipFraction,
    "policy/rows": update ? batch.rows.length - batch.leaveOut.size : 0,
    "policy/skipped": state.policySkips.total,
  });
}

function sequenceTokens({ batch }: StepOutcome): number {
  return batch.rows.reduce((sum, row) => sum + row.prompt.length + row.response.length, 0);
}

/** Books the clock's seconds in the state and starts a new clock. */
function takeTimes(t: PrimeTrainer): { seconds: Record<string, number>; elapsed: number } {
  const { seconds } = t.clock;
  const elapsed = t.clock.elapsed();
  for (const [phase, s] of Object.entries(seconds)) t.state.seconds[phase] = (t.state.seconds[phase] ?? 0) + s;
  t.clock = new PhaseClock();
  return { seconds, elapsed };
}

function warnings({ groups }: StepOutcome): string[] {
  const all = [...groups.kept, ...groups.rest];
  const failed = all.flatMap((group) => group.samples).find((sample) => sample.verdict.outcome === "error");
  return [
    ...(groups.kept.length === 0 ? [`None of the ${all.length} prompts drawn passed the filter, so the policy was not updated.`] : []),
    ...(failed ? [`The verifier reached no verdict on some answers, whose groups were dropped: ${failed.verdict.reason}`] : []),
  ];
}

function rolloutRecords({ groups, judged }: StepOutcome): object[] {
  const record = (group: Group, kept: boolean, processScore: (sample: number) => number | undefined) =>
    group.samples.map(({ text, tokens, truncated, verdict }, i) => {
      const { id, level, prompt, answer } = group.problem;
      const { score, outcome, extracted, reason } = verdict;
      return {
        id,
        level,
        prompt,
        response: text,
        answer,
        extracted,
        score,
        outcome,
        reason,
        tokens: tokens.length,
        truncated,
        kept,
        processScore: processScore(i),
      };
    });
  return [
    ...groups.kept.flatMap((group, g) => record(group, true, (i) => judged.process?.scores[g * group.samples.length + i])),
    ...groups.rest.flatMap((group) => record(group, false, () => undefined)),
  ];
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, x) => sum + x, 0) / values.length;
}
