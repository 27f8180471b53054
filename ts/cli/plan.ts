// `primekit plan`: what memory a run of `train` would take, without starting it.
import { statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { availableMemory } from "./available_memory.ts";
import type { Command } from "./command.ts";
import type { Options } from "./flags.ts";
import { type JobConfig, jobFlags, resolveJob, resumeJob } from "./job_config.ts";
import { longestPrompt, type PlanInput, planJob } from "./job_plan.ts";
import { resolveSources } from "./job_sources.ts";
import { makeTask } from "./job_task.ts";
import { modelConfigIn, renderPlan } from "./memory_plan.ts";
import { planRun } from "./run_plan.ts";

export const planCommand: Command = {
  name: "plan",
  description: "The memory that `train` with the same options would take, by model and kind. --model may also be a config.json alone.",
  flags: jobFlags(),
  run: async (options: Options) => {
    process.stdout.write(`${await describePlan(options)}\n`);
    return 0;
  },
};

/** The table for a run of `train` with these options. */
export async function describePlan(options: Options): Promise<string> {
  const { config } = await planRun<JobConfig>(options, { kind: "train", resolve: resolveJob, resume: resumeJob });
  const plan = planJob(config, await inputOf(config));
  return renderPlan(plan, availableMemory(plan.device));
}

// --- internal ---

async function inputOf(config: JobConfig): Promise<PlanInput> {
  const { source, ...sizes } = config.model;
  const isFile = source.endsWith(".json") && statSync(source, { throwIfNoEntry: false })?.isFile();
  const dir = isFile ? undefined : (await resolveSources({ ...config, data: { ...config.data, source: "", heldOut: "" } })).model;
  const model = isFile ? await modelConfigIn(dirname(source), basename(source)) : dir === undefined ? undefined : await modelConfigIn(dir);
  if (model && config.data.source) return { model, promptTokens: config.data.maxPromptTokens };
  const { task, close } = await makeTask(config, { model: dir }, () => undefined);
  try {
    return { model: model ?? { ...sizes, vocabSize: task.tokenizer.vocabSize }, promptTokens: longestPrompt(config, task) };
  } finally {
    await close();
  }
}
