// `primekit plan`: what memory a run of `train` would take, without starting it.
import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fromHuggingFace, type ModelConfig } from "../model_config.ts";
import { readModelJson } from "../model_dir.ts";
import { availableMemory } from "./available_memory.ts";
import type { Command } from "./command.ts";
import type { Options } from "./flags.ts";
import { type JobConfig, jobFlags, resolveJob, resumeJob } from "./job_config.ts";
import { resolveSources } from "./job_sources.ts";
import { makeTask } from "./job_task.ts";
import { longestPrompt, type PlanInput, planJob, renderPlan } from "./memory_plan.ts";
import { planRun } from "./run_plan.ts";

export const planCommand: Command = {
  name: "plan",
  description: "The memory that `train` with the same options would take, by model and kind. --model may also be a config.json alone.",
  flags: jobFlags(),
  run: async (options: Options) => {
    const { config } = await planRun<JobConfig>(options, { kind: "train", resolve: resolveJob, resume: resumeJob });
    const plan = planJob(config, await inputOf(config));
    process.stdout.write(`${renderPlan(plan, availableMemory(plan.device))}\n`);
    return 0;
  },
};

// --- internal ---

async function inputOf(config: JobConfig): Promise<PlanInput> {
  const { source, ...sizes } = config.model;
  const isFile = source.endsWith(".json") && statSync(source, { throwIfNoEntry: false })?.isFile();
  const dir = isFile ? undefined : (await resolveSources({ ...config, data: { ...config.data, source: "", heldOut: "" } })).model;
  const model = isFile ? await configIn(dirname(source), basename(source)) : dir === undefined ? undefined : await configIn(dir, "config.json");
  if (model && config.data.source) return { model, promptTokens: config.data.maxPromptTokens };
  const { task, close } = await makeTask(config, { model: dir }, () => undefined);
  try {
    return { model: model ?? { ...sizes, vocabSize: task.tokenizer.vocabSize }, promptTokens: longestPrompt(config, task) };
  } finally {
    await close();
  }
}

async function configIn(dir: string, name: string): Promise<ModelConfig> {
  return fromHuggingFace(await readModelJson(dir, name), join(dir, name));
}
