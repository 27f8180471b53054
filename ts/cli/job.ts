// The main job: fine-tune (or load) a model, then train it by PRIME, in a run folder that either part can be resumed from.
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { DatasetReport } from "../data/dataset.ts";
import type { Task } from "../data/task.ts";
import { PrimekitError } from "../errors.ts";
import { checkTokenizerFits, Model } from "../model.ts";
import { native } from "../native/addon.ts";
import { RunFolder } from "../run/run_folder.ts";
import type { OnEvent, ResumePoint } from "../train/events.ts";
import { type PrimeResult, runPrime } from "../train/prime.ts";
import { runSft, type SftResult } from "../train/sft.ts";
import type { JobConfig } from "./job_config.ts";
import { jobWork, longestPrompt } from "./job_plan.ts";
import { resolveSources } from "./job_sources.ts";
import { makeTask } from "./job_task.ts";
import { modelConfigIn, requireMemory } from "./memory_plan.ts";

/** Everything that can be wrong with a configuration shows while these are made: before there is a run folder. */
export interface PreparedJob {
  config: JobConfig; // with what its names were resolved to
  task: Task;
  model: Model;
  reports: DatasetReport[]; // of the data, where there is some
  close(): Promise<void>;
}

export interface JobContext extends PreparedJob {
  run: RunFolder;
  signal: AbortSignal;
  onEvent: OnEvent;
  say: (line: string) => void;
}

export interface JobResult {
  task: Task;
  sft: SftResult | undefined; // absent with --model
  prime: PrimeResult | undefined; // absent when fine-tuning was stopped
  stopped: boolean;
}

/** The task, and the model to start from. A run that goes on must find the data it had: ERR_CONFIG otherwise. */
export async function prepareJob(config: JobConfig, onRows: (rows: number) => void = () => undefined): Promise<PreparedJob> {
  if (config.place.threads > 0) native().setThreads(config.place.threads);
  const sources = await resolveSources(config);
  const { task, reports, close } = await makeTask(config, sources, onRows);
  try {
    const rows = reports.map(({ kept }) => kept);
    if (config.resolved?.rows && String(config.resolved.rows) !== String(rows))
      throw new PrimekitError(
        "ERR_CONFIG",
        `The data has changed since the run began: it had ${config.resolved.rows.join(" and ")} good rows, and now has ${rows.join(" and ")}.`,
      );
    const model = await makeModel(config, task, sources.model);
    const closeAll = async () => {
      model.close();
      await close();
    };
    return { config: { ...config, resolved: { ...sources, ...(rows.length > 0 && { rows }) } }, task, model, reports, close: closeAll };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Runs or goes on with the job. Throws what the trainers throw; an abort is no error. */
export async function runJob(context: JobContext): Promise<JobResult> {
  const { config, task, model, run, signal, onEvent } = context;
  const sft = config.model.source ? undefined : await fineTune(context);
  if (sft?.stopped) return { task, sft, prime: undefined, stopped: true };
  const prime = await runPrime({ config: config.prime, task, policy: model, run, resume: await resumePoint(context, run), signal, onEvent });
  return { task, sft, prime, stopped: prime.stopped };
}

// --- internal ---

/** A new model of the configured sizes, or the one in `dir`. What does not fit task or memory shows before anything is loaded. */
async function makeModel(config: JobConfig, task: Task, dir: string | undefined): Promise<Model> {
  const { device, dtype, moments, recompute, seed, source, ...sizes } = config.model;
  const { tokenizer } = task;
  if (dir === undefined) {
    const shape = { ...sizes, vocabSize: tokenizer.vocabSize, eosTokenId: tokenizer.eosId, padTokenId: tokenizer.padId };
    requireMemory(jobWork(config, { model: shape, promptTokens: longestPrompt(config, task) }));
    return Model.load(shape, { device, dtype, moments, recompute, seed });
  }
  const shape = await modelConfigIn(dir);
  checkTokenizerFits(tokenizer, shape, `The model ${source}`);
  checkLengths(config, shape.maxPositionEmbeddings);
  requireMemory(jobWork(config, { model: shape, promptTokens: longestPrompt(config, task) }));
  return Model.load(dir, { device, dtype, moments, recompute });
}

function checkLengths({ model, data, prime, sft }: JobConfig, positions: number): void {
  const answer = Math.max(prime.maxNewTokens, sft.maxNewTokens);
  if (!data.source || data.maxPromptTokens + answer <= positions) return;
  throw new PrimekitError(
    "ERR_CONFIG",
    `The model ${model.source} reads at most ${positions} tokens, but data.maxPromptTokens and maxNewTokens allow ${data.maxPromptTokens} + ${answer}.`,
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
