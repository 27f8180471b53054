// The main job: fine-tune (or load) a model, then train it by PRIME, in a run folder that either part can be resumed from.
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { arithmeticTask } from "../data/arithmetic.ts";
import type { Task } from "../data/task.ts";
import { PrimekitError } from "../errors.ts";
import { Model } from "../model.ts";
import { native } from "../native/addon.ts";
import { RunFolder } from "../run/run_folder.ts";
import type { OnEvent, ResumePoint } from "../train/events.ts";
import { type PrimeResult, runPrime } from "../train/prime.ts";
import { runSft, type SftResult } from "../train/sft.ts";
import { type JobConfig, taskOptions } from "./job_config.ts";

/** Everything that can be wrong with a configuration shows while these are made: before there is a run folder. */
export interface PreparedJob {
  config: JobConfig;
  task: Task;
  model: Model;
}

export interface JobContext extends PreparedJob {
  run: RunFolder;
  signal: AbortSignal;
  onEvent: OnEvent;
  say: (line: string) => void;
}

export interface JobResult {
  task: Task;
  sft: SftResult | undefined; // absent with --init
  prime: PrimeResult | undefined; // absent when fine-tuning was stopped
  stopped: boolean;
}

/** The task, and the model to start from; the model is the caller's to close. */
export async function prepareJob(config: JobConfig): Promise<PreparedJob> {
  if (config.place.threads > 0) native().setThreads(config.place.threads);
  const task = arithmeticTask(taskOptions(config.task));
  return { config, task, model: await makeModel(config, task) };
}

/** Runs or goes on with the job. Throws what the trainers throw; an abort is no error. */
export async function runJob(context: JobContext): Promise<JobResult> {
  const { config, task, model, run, signal, onEvent } = context;
  const sft = config.place.init ? undefined : await fineTune(context);
  if (sft?.stopped) return { task, sft, prime: undefined, stopped: true };
  const prime = await runPrime({ config: config.prime, task, policy: model, run, resume: await resumePoint(context, run), signal, onEvent });
  return { task, sft, prime, stopped: prime.stopped };
}

// --- internal ---

async function makeModel({ place, model }: JobConfig, task: Task): Promise<Model> {
  const { dtype, recompute, seed, ...sizes } = model;
  const { tokenizer } = task;
  if (!place.init) {
    const ids = { vocabSize: tokenizer.vocabSize, eosTokenId: tokenizer.eosId, padTokenId: tokenizer.padId };
    return Model.load({ ...sizes, ...ids }, { dtype, recompute, seed });
  }
  const loaded = await Model.load(place.init, { dtype, recompute });
  if (loaded.config.vocabSize >= tokenizer.vocabSize) return loaded;
  loaded.close();
  throw new PrimekitError(
    "ERR_CONFIG",
    `The model ${place.init} has ${loaded.config.vocabSize} tokens, but the ${task.name} task needs ${tokenizer.vocabSize}: it was made for another tokenizer.`,
  );
}

async function fineTune(context: JobContext): Promise<SftResult> {
  const { config, task, model, signal, onEvent } = context;
  // The main job keeps its fine-tuning in a run folder of its own inside: PRIME starts from that model also when it resumes.
  const run = await openOrCreate(context.run.dir, "sft", config.sft);
  try {
    return await runSft({ config: config.sft, task, model, run, resume: await resumePoint(context, run), signal, onEvent });
  } finally {
    await run.close();
  }
}

async function openOrCreate(root: string, name: string, config: object): Promise<RunFolder> {
  const dir = join(root, name);
  if (existsSync(join(dir, "config.json"))) return RunFolder.open(dir);
  await rm(dir, { recursive: true, force: true }); // config.json is written last: without it nothing was there yet
  return RunFolder.create(root, name, config);
}

async function resumePoint({ say }: JobContext, run: RunFolder): Promise<ResumePoint | undefined> {
  const found = await run.newestCheckpoint();
  for (const sentence of found?.skipped ?? []) say(`${sentence} Going on from step ${found?.step} instead.`);
  if (!found) await run.truncateMetricsAfter(-1); // killed before its first checkpoint: it starts over
  return found;
}
