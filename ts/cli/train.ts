// `train`: the main job, fine-tuning and then PRIME.
import type { RunFolder } from "../run/run_folder.ts";
import type { Command } from "./command.ts";
import { createRowCounter, describeData, saveDataReports } from "./data_report.ts";
import type { Options } from "./flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { type PreparedJob, prepareJob, runJob } from "./job.ts";
import { type JobConfig, jobFlags, resolveJob, resumeJob, savable } from "./job_config.ts";
import { createProgress } from "./progress.ts";
import { renderAnswers, renderPlace, renderSummary } from "./report.ts";
import { planRun, timestamp } from "./run_plan.ts";

export const trainCommand: Command = {
  name: "train",
  description: "Fine-tunes a small model and trains it further with PRIME: process rewards from an implicit reward model.",
  flags: jobFlags(),
  run: train,
};

// --- internal ---

async function train(options: Options, invocation: string): Promise<number> {
  const { config, openRun } = await planRun<JobConfig>(options, { kind: "train", resolve: resolveJob, resume: resumeJob });
  const job = await prepareJob(config, createRowCounter(process.stderr));
  try {
    const name = config.place.run || `${config.prime.algo}-${timestamp(new Date())}`;
    const run = await openRun(config.place.runs, name, savable(job.config));
    try {
      await saveDataReports(run.dir, job.reports);
      return await trainIn(run, job, invocation);
    } finally {
      await run.close();
    }
  } finally {
    await job.close();
  }
}

async function trainIn(run: RunFolder, job: PreparedJob, invocation: string): Promise<number> {
  const progress = createProgress(process.stderr);
  const interrupt = listenForInterrupt(progress.say);
  try {
    progress.say(`Run folder: ${run.dir}`);
    for (const line of describeData(job.reports)) progress.say(line);
    const result = await runJob({ ...job, run, signal: interrupt.signal, onEvent: progress.onEvent, say: progress.say });
    progress.stop();
    const parts = [renderAnswers(result), result.stopped ? "" : renderSummary(job.config, result), renderPlace(run.dir, result.stopped, invocation)];
    process.stdout.write(`\n${parts.filter(Boolean).join("\n\n")}\n`);
    return interrupt.exitCode() ?? 0;
  } finally {
    progress.stop();
    interrupt.dispose();
  }
}
