// PRIME: process reinforcement through implicit rewards (arXiv 2502.01456, Algorithm 1). This file is the algorithm; what a run holds is in prime_trainer.ts.

import { algorithms } from "../algo/estimators.ts";
import { updatePolicy } from "../algo/policy.ts";
import { learningRate } from "../algo/schedule.ts";
import { drawGroups, judgeProcess, packStep } from "./prime_phases.ts";
import { evaluate, finish, finishStep, type PrimeResult } from "./prime_report.ts";
import { openPrime, type PrimeRunOptions, type PrimeTrainer, saveCheckpoint } from "./prime_trainer.ts";
import { unlessAborted } from "./stop.ts";

export type { PrimeResult } from "./prime_report.ts";
export type { HistoryPoint, PrimeRunOptions, PrimeState } from "./prime_trainer.ts";

/**
 * Trains `policy` in place: policy, PRM <- fine-tuned model; reference <- the same, frozen; then `steps` times primeStep().
 * Bit-identical for equal config, task and start, whether resumed or not. An abort ends it cleanly, with a checkpoint and `stopped` in the result.
 * Throws ERR_CONFIG, ERR_CHECKPOINT (nothing to resume in it), ERR_NON_FINITE (too many skipped updates in a row) and what models and run folder throw.
 */
export async function runPrime(options: PrimeRunOptions): Promise<PrimeResult> {
  const t = await openPrime(options);
  try {
    if (options.resume) await t.run?.truncateMetricsAfter(t.state.step, { evaluated: t.state.evaluatedStep === t.state.step });
    await unlessAborted(t.signal, () => trainSteps(t));
    if (t.signal?.aborted) await saveCheckpoint(t);
    return await finish(t);
  } finally {
    t.close();
  }
}

async function trainSteps(t: PrimeTrainer): Promise<void> {
  const { config, state } = t;
  const every = (period: number) => state.step === config.steps || (period > 0 && state.step > 0 && state.step % period === 0);
  while (!t.signal?.aborted) {
    // Evaluation comes before the checkpoint, and the state says that it is done: a resumed run neither repeats nor misses it.
    if ((state.step === 0 || every(config.evalEvery)) && state.evaluatedStep !== state.step) await evaluate(t);
    if (every(config.saveEvery)) await saveCheckpoint(t);
    if (state.step >= config.steps) return;
    await primeStep(t);
  }
}

async function primeStep(t: PrimeTrainer): Promise<void> {
  const { config, policy, state } = t;
  const algorithm = algorithms[config.algo];
  // 1. G answers per prompt, all from one policy version; verify; keep prompts solved sometimes; draw more until the batch is full.
  const groups = await drawGroups(t);
  // 2. Packed rows, outcomes, sampling and reference log-probs. Up to here the signal may cut the step short; from here on it is completed.
  const batch = await packStep(t, groups);
  // 3. Train the PRM on outcomes (before or after scoring, or not at all); implicit process rewards r_t = beta * (log phi - log ref).
  const judged = await judgeProcess(t, batch);
  // 4. Leave-one-out advantages of process and outcome rewards, summed (or a sibling estimator).
  const { outcome, offsets } = batch;
  const weighted = { ...config, processCoef: config.processCoef * judged.weight };
  const advantages = algorithm.advantages(
    { outcome, offsets, groupSize: config.samplesPerPrompt, process: judged.weight > 0 ? judged.process : undefined },
    weighted,
  );
  // 5. Clipped policy-gradient update.
  const lr = judged.freezesPolicy ? 0 : learningRate(state.step, config);
  const data = { ...batch, advantages, groupSize: config.samplesPerPrompt };
  await t.turn(policy);
  const update =
    lr > 0 && batch.rows.length > 0
      ? await t.during("policy", () => updatePolicy(policy, data, { ...config, lr }, state.policySkips, [config.seed, state.step, 1]))
      : undefined;
  await finishStep(t, { groups, batch, judged, update, lr });
}
