// The commands that train: `train` (fine-tuning, then PRIME) and `sft` (fine-tuning alone).
import { resolve } from "node:path";
import { PrimekitError } from "../errors.ts";
import { listRuns, RunFolder } from "../run/run_folder.ts";
import { didYouMean } from "../suggest.ts";
import type { Command } from "./command.ts";
import { readConfigFile } from "./config_file.ts";
import { createRowCounter, describeData, saveDataReports } from "./data_report.ts";
import { mergeOptions, type Options } from "./flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { type JobKind, type PreparedJob, prepareJob, runJob } from "./job.ts";
import { type JobConfig, jobFlags, resolveJob, resumeJob, savable } from "./job_config.ts";
import { createProgress } from "./progress.ts";
import { renderAnswers, renderPlace, renderSummary } from "./report.ts";

export const trainCommand: Command = {
  name: "train",
  description: "Fine-tunes a small model and trains it further with PRIME: process rewards from an implicit reward model.",
  flags: jobFlags(true),
  run: (options, invocation) => train(options, invocation, "train"),
};

export const sftCommand: Command = {
  name: "sft",
  description: "Fine-tunes a model on the task's demonstrations, and stops there.",
  flags: jobFlags(false),
  run: (options, invocation) => train(options, invocation, "sft"),
};

// --- internal ---

async function train(options: Options, invocation: string, kind: JobKind): Promise<number> {
  const { config, openRun } = await plan(options, kind);
  const job = await prepareJob(config, kind, createRowCounter(process.stderr));
  try {
    const run = await openRun(job.config);
    try {
      await saveDataReports(run.dir, job.reports);
      return await trainIn(run, job, invocation, kind);
    } finally {
      await run.close();
    }
  } finally {
    await job.close();
  }
}

async function trainIn(run: RunFolder, job: PreparedJob, invocation: string, kind: JobKind): Promise<number> {
  const progress = createProgress(process.stderr);
  const interrupt = listenForInterrupt(progress.say);
  try {
    progress.say(`Run folder: ${run.dir}`);
    for (const line of describeData(job.reports)) progress.say(line);
    const result = await runJob({ ...job, run, signal: interrupt.signal, onEvent: progress.onEvent, say: progress.say }, kind === "train");
    progress.stop();
    const parts = [renderAnswers(result), result.stopped ? "" : renderSummary(job.config, result), renderPlace(run.dir, result.stopped, invocation)];
    process.stdout.write(`\n${parts.filter(Boolean).join("\n\n")}\n`);
    return interrupt.exitCode() ?? 0;
  } finally {
    progress.stop();
    interrupt.dispose();
  }
}

interface Plan {
  config: JobConfig;
  /** Makes the run folder of a new run, or opens the one to go on with; `prepared` is the configuration to keep in it. */
  openRun: (prepared: JobConfig) => Promise<RunFolder>;
}

async function plan(options: Options, kind: JobKind): Promise<Plan> {
  const { config: file, resume, ...flags } = options;
  const given = mergeOptions(file === undefined ? {} : await readConfigFile(String(file)), flags);
  if (resume !== undefined) return planResume(String(resume), given, kind);
  const config = resolveJob(given);
  const name = config.place.run || `${kind === "sft" ? "sft" : config.prime.algo}-${timestamp(new Date())}`;
  return { config, openRun: (prepared) => RunFolder.create(config.place.runs, name, { kind, ...savable(prepared) }) };
}

async function planResume(name: string, given: Options, kind: JobKind): Promise<Plan> {
  const root = String(given.runs ?? "runs");
  const names = await listRuns(root);
  const chosen = name || names[0];
  if (chosen === undefined) throw new PrimekitError("ERR_CONFIG", `There is no run to go on with in ${resolve(root)}.`);
  if (!names.includes(chosen))
    throw new PrimekitError("ERR_CONFIG", `There is no run ${JSON.stringify(chosen)} in ${resolve(root)}.${didYouMean(chosen, names)}`);
  const { kind: savedKind, ...saved } = await RunFolder.readConfig(resolve(root, chosen));
  if (savedKind !== kind) throw new PrimekitError("ERR_CONFIG", `The run ${chosen} was made by "${savedKind}", so "${kind}" cannot go on with it.`);
  const config = resumeJob(saved as JobConfig, given);
  const openRun = async (prepared: JobConfig) => {
    const run = await RunFolder.open(resolve(root, chosen));
    await run.writeConfig({ kind, ...savable(prepared) });
    return run;
  };
  return { config, openRun };
}

/** 20261121-093000, local time. */
function timestamp(date: Date): string {
  const pad = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}${pad(date.getMonth() + 1)}${pad(date.getDate())}`;
  return `${day}-${pad(date.getHours())}${pad(date.getMinutes())}${pad(date.getSeconds())}`;
}
