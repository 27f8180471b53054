// What a PRIME run holds: models, state, clock; how it starts, resumes, saves and ends. The algorithm itself is in prime.ts.

import { join } from "node:path";
import { algorithms } from "../algo/estimators.ts";
import type { SkipCounter } from "../algo/update.ts";
import type { Task } from "../data/task.ts";
import { PrimekitError } from "../errors.ts";
import { Model } from "../model.ts";
import type { DataCursor } from "../rollout/collect.ts";
import type { RunFolder } from "../run/run_folder.ts";
import { primeCard } from "./card.ts";
import type { PrimeConfig, PrimeConfigInput } from "./config.ts";
import { parsePrimeConfig } from "./config.ts";
import type { OnEvent, Phase, ResumePoint, TrainEvent } from "./events.ts";
import { PhaseClock } from "./metrics.ts";

export type RunLog = Pick<RunFolder, "appendMetrics" | "writeRollouts" | "saveCheckpoint" | "truncateMetricsAfter">;

export interface PrimeRunOptions {
  config: PrimeConfigInput;
  task: Task;
  /** The fine-tuned model: trained in place, and (on a fresh start and on resume alike) the source of the PRM and the reference. Stays the caller's to close. */
  policy: Model;
  /** Start of the PRM, instead of a copy of the policy. Trained in place; stays the caller's to close. */
  prm?: Model;
  /** Where metrics, rollouts and checkpoints go; without it nothing is written. */
  run?: RunLog;
  resume?: ResumePoint;
  /** Stops after the step under way (or before it, while no weight has changed), with a checkpoint. */
  signal?: AbortSignal;
  onEvent?: OnEvent;
}

/** One line of the run's history, kept in the checkpoint for the final table. */
export interface HistoryPoint {
  step: number;
  accuracy?: number; // of the rollouts
  pairAccuracy?: number; // of the PRM within kept groups
  evalAccuracy?: number;
}

/** Everything beside weights and optimizers that the next step depends on, as JSON. `seconds` alone differs between equal runs. */
export interface PrimeState {
  version: 1;
  step: number; // steps completed
  cursor: DataCursor;
  pairAccuracy: number; // running, within groups
  policySkips: SkipCounter;
  prmSkips: SkipCounter;
  evaluatedStep: number; // -1: never
  tokens: { trained: number; generated: number };
  history: HistoryPoint[];
  seconds: Record<string, number>;
}

export interface PrimeTrainer {
  config: PrimeConfig;
  task: Task;
  policy: Model;
  prm: Model | undefined;
  reference: Model | undefined; // frozen
  state: PrimeState;
  savedStep: number;
  clock: PhaseClock; // of the step under way
  run: RunLog | undefined;
  signal: AbortSignal | undefined;
  emit(event: TrainEvent): void;
  /** Before a model's work of one kind: with the option offload, the others leave the GPU, and so does what its own work before that left there. */
  turn(model: Model): Promise<void>;
  /** Runs `work`, announces it and books its time under `phase`. */
  during<T>(phase: Phase, work: () => Promise<T>): Promise<T>;
  close(): void;
}

/** Makes the PRM and the reference where the algorithm uses them, and loads the checkpoint to go on from. Nothing else of the run has happened yet. */
export async function openPrime(options: PrimeRunOptions): Promise<PrimeTrainer> {
  const config = parsePrimeConfig(options.config);
  const usesPrm = algorithms[config.algo].process;
  const owned: Model[] = [];
  const own = (model: Model) => {
    owned.push(model);
    return model;
  };
  const close = () => {
    for (const model of owned) model.close();
  };
  try {
    const needsReference = (usesPrm && config.reference === "sft") || config.klCoef > 0;
    const reference = needsReference ? own(await options.policy.clone({ trainable: false })) : undefined;
    if (config.offload) await reference?.offload();
    const prm = usesPrm ? (options.prm ?? own(await options.policy.clone({ trainable: config.prmUpdate !== "none" }))) : undefined;
    const state = options.resume ? readState(options.resume) : freshState(config);
    if (options.resume) await loadModels(options.resume.dir, options.policy, prm, config);
    else await resetOptimizers(options.policy, prm, config);
    if (config.offload) await prm?.offload();
    return assemble(options, config, { prm, reference }, state, close);
  } catch (error) {
    close();
    throw error;
  }
}

/** Saves policy, PRM, optimizers and state as the checkpoint of the last complete step. Without a run folder it does nothing. */
export async function saveCheckpoint(t: PrimeTrainer): Promise<void> {
  const { run, policy, prm, state } = t;
  if (!run || t.savedStep === state.step) return;
  const dir = await t.during("save", () =>
    run.saveCheckpoint(state.step, state, async (dir) => {
      await t.turn(policy);
      await policy.save(join(dir, "policy"), { dtype: "float32", card: primeCard(t, "policy") });
      await policy.saveOptimizer(join(dir, "policy.optimizer.safetensors"));
      await t.task.tokenizer.save(join(dir, "policy"));
      if (!prm) return;
      await t.turn(prm);
      await prm.save(join(dir, "prm"), { dtype: "float32", card: primeCard(t, "prm") });
      if (t.config.prmUpdate !== "none") await prm.saveOptimizer(join(dir, "prm.optimizer.safetensors"));
      await t.task.tokenizer.save(join(dir, "prm"));
    }),
  );
  t.savedStep = state.step;
  t.emit({ type: "checkpoint", trainer: "prime", step: state.step, dir });
}

// --- internal ---

function assemble(
  options: PrimeRunOptions,
  config: PrimeConfig,
  models: Pick<PrimeTrainer, "prm" | "reference">,
  state: PrimeState,
  close: () => void,
): PrimeTrainer {
  const emit = (event: TrainEvent) => options.onEvent?.(event);
  const t: PrimeTrainer = {
    config,
    task: options.task,
    policy: options.policy,
    ...models,
    state,
    savedStep: options.resume ? state.step : -1,
    clock: new PhaseClock(),
    run: options.run,
    signal: options.signal,
    emit,
    during: (phase, work) => {
      emit({ type: "phase", trainer: "prime", phase, step: state.step, steps: config.steps });
      return t.clock.time(phase, work);
    },
    turn: async (model) => {
      if (!config.offload) return;
      for (const other of [t.policy, t.prm, t.reference]) if (other !== model) await other?.offload();
      await model.trim();
    },
    close,
  };
  return t;
}

function freshState({ filterLow, filterHigh }: PrimeConfig): PrimeState {
  const keepRate = filterLow === 0 && filterHigh === 1 ? 1 : 0.5; // a first guess, unless everything passes
  return {
    version: 1,
    step: 0,
    cursor: { position: 0, pending: [], keepRate },
    pairAccuracy: 0.5,
    policySkips: { total: 0, inARow: 0 },
    prmSkips: { total: 0, inARow: 0 },
    evaluatedStep: -1,
    tokens: { trained: 0, generated: 0 },
    history: [],
    seconds: {},
  };
}

function readState({ state, dir, step }: ResumePoint): PrimeState {
  const found = state as Partial<PrimeState> | null;
  if (found?.version !== 1 || found.step !== step || !found.cursor) {
    throw new PrimekitError("ERR_CHECKPOINT", `The checkpoint ${dir} holds no state of a PRIME run at step ${step}.`);
  }
  return structuredClone(found as PrimeState);
}

/** A run's first step is AdamW's first, whatever the models went through before: so it does not matter whether they come from memory or from files. */
async function resetOptimizers(policy: Model, prm: Model | undefined, config: PrimeConfig): Promise<void> {
  await policy.resetOptimizer();
  if (config.prmUpdate !== "none") await prm?.resetOptimizer();
}

async function loadModels(dir: string, policy: Model, prm: Model | undefined, config: PrimeConfig): Promise<void> {
  await loadInto(policy, join(dir, "policy"));
  await policy.loadOptimizer(join(dir, "policy.optimizer.safetensors"));
  if (!prm) return;
  if (config.offload) await policy.offload();
  await loadInto(prm, join(dir, "prm"));
  if (config.prmUpdate !== "none") await prm.loadOptimizer(join(dir, "prm.optimizer.safetensors"));
}

async function loadInto(model: Model, dir: string): Promise<void> {
  const saved = await Model.load(dir, { device: model.device, trainable: false });
  try {
    await model.copyFrom(saved);
  } finally {
    saved.close();
  }
}
