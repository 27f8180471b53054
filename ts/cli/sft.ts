// `primekit sft`: fine-tunes a model on chat messages or prompt/response rows, in a run folder that can be resumed.
import { join } from "node:path";
import { Dataset } from "../data/dataset.ts";
import { PrimekitError } from "../errors.ts";
import { resolveDataset, resolveModel } from "../hub/resolve.ts";
import { checkTokenizerFits, Model } from "../model.ts";
import { completeConfig } from "../model_config.ts";
import { native } from "../native/addon.ts";
import type { RunFolder } from "../run/run_folder.ts";
import { styleMessages } from "../tokenizer/prompts.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { runSft, type SftResult } from "../train/sft.ts";
import { datasetSource, isLearnable, type RowOptions } from "../train/sft_source.ts";
import type { Command } from "./command.ts";
import { trainingWork } from "./command_plans.ts";
import { createRowCounter, describeData, saveDataReports } from "./data_report.ts";
import type { Options } from "./flags.ts";
import { createDownloadProgress } from "./hub_progress.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { formatOf } from "./job_schemas.ts";
import { modelConfigIn, requireMemory } from "./memory_plan.ts";
import { createProgress, type Progress } from "./progress.ts";
import { renderPlace, renderSft } from "./report.ts";
import { planRun } from "./run_plan.ts";
import { resolveSft, resumeSft, type SftJobConfig, sftFlags, trainerConfig } from "./sft_config.ts";

export const sftCommand: Command = {
  name: "sft",
  description: "Fine-tunes a model on your own chat messages or prompt/response rows, with loss on the assistant's tokens.",
  flags: sftFlags(),
  run: sft,
};

// --- internal ---

/** What is open while the command runs. */
interface Opened {
  model: Model;
  tokenizer: Tokenizer;
  dataset: Dataset;
  rows: RowOptions;
}

async function sft(options: Options, invocation: string): Promise<number> {
  const plan = await planRun<SftJobConfig>(options, { kind: "sft", resolve: resolveSft, resume: resumeSft });
  const { config } = plan;
  if (config.place.threads > 0) native().setThreads(config.place.threads);
  const progress = createProgress(process.stderr);
  const interrupt = listenForInterrupt(progress.say);
  let opened: Opened | undefined;
  let run: RunFolder | undefined;
  try {
    opened = await open(config, interrupt, progress);
    run = await plan.openRun(config.place.runs, config.place.run, { ...config, rows: opened.dataset.length });
    progress.say(`Run folder: ${run.dir}`);
    await saveDataReports(run.dir, [opened.dataset.report]);
    const result = await fineTune(opened, run, config, interrupt, progress);
    progress.stop();
    const parts = [result.stopped ? "" : renderSft(result), renderPlace(run.dir, result.stopped, invocation), result.stopped ? "" : useOf(run.dir, result)];
    process.stdout.write(`\n${parts.filter(Boolean).join("\n\n")}\n`);
    return interrupt.exitCode() ?? 0;
  } catch (error) {
    return interrupt.exitCodeFor(error); // interrupted before the first step
  } finally {
    progress.stop();
    interrupt.dispose();
    await run?.close();
    opened?.dataset.close();
    opened?.model.close();
  }
}

/** Everything that can be wrong with what was given shows here: before there is a run folder. */
async function open(config: SftJobConfig, { signal }: Interrupt, { say }: Progress): Promise<Opened> {
  const { input, rows: rowsBefore } = config;
  const hub = createDownloadProgress(process.stderr);
  const dirs = await Promise.all([resolveModel(input.model, { signal, ...hub }), resolveDataset(input.data, { signal, ...hub })]).finally(hub.stop);
  const tokenizer = await Tokenizer.load(dirs[0]);
  if (!input.plain && !tokenizer.hasChatTemplate)
    throw new PrimekitError("ERR_CONFIG", `The model ${input.model} has no chat template; --plain trains on prompt and response as they are.`);
  await requireRoom(dirs[0], config);
  const { device, dtype, moments, recompute } = input;
  const model = await Model.load(dirs[0], { device, dtype, moments, recompute });
  try {
    checkTokenizerFits(tokenizer, model.config, `The model ${input.model}`);
    const maxLength = Math.min(input.maxLength, model.config.maxPositionEmbeddings);
    if (maxLength < input.maxLength) say(`Examples are cut after ${maxLength} tokens: the model reads no more.`);
    const promptStyle: RowOptions["promptStyle"] = (messages, ability) => styleMessages(messages, input.promptStyle, ability);
    const rows = { maxLength, chatTemplate: !input.plain, promptStyle };
    const dataset = await Dataset.open(dirs[1], {
      mapping: input.mapping,
      split: input.split || undefined,
      format: formatOf(input.format),
      maxBadShare: input.maxBadShare,
      needs: ["response"],
      holdOut: input.heldOutSize,
      accept: (row) => isLearnable(tokenizer, row, rows),
      signal,
      onProgress: createRowCounter(process.stderr),
    });
    for (const line of describeData([dataset.report])) say(line);
    if (rowsBefore !== undefined && rowsBefore !== dataset.length)
      throw new PrimekitError(
        "ERR_DATA",
        `The run began with ${rowsBefore} examples to train on, but ${input.data} now has ${dataset.length}: the data was changed.`,
      );
    return { model, tokenizer, dataset, rows };
  } catch (error) {
    model.close();
    throw error;
  }
}

/** Examples count as long as they may be. */
async function requireRoom(dir: string, { input, trainer }: SftJobConfig): Promise<void> {
  const { device, dtype, moments, recompute, maxLength, heldOutSize } = input;
  const model = await modelConfigIn(dir);
  const longest = Math.min(maxLength, completeConfig(model).maxPositionEmbeddings);
  const choice = { device, dtype, moments, recompute, maxTokensPerBatch: trainer.maxTokensPerBatch };
  requireMemory(trainingWork(choice, model, { trained: { rows: trainer.batchSize, longest }, scored: { rows: heldOutSize, longest } }));
}

async function fineTune(
  { model, tokenizer, dataset, rows }: Opened,
  run: RunFolder,
  config: SftJobConfig,
  { signal }: Interrupt,
  progress: Progress,
): Promise<SftResult> {
  const resume = await run.newestCheckpoint();
  for (const sentence of resume?.skipped ?? []) progress.say(`${sentence} Going on from step ${resume?.step} instead.`);
  if (!resume) await run.truncateMetricsAfter(-1); // killed before its first checkpoint: it starts over
  const source = datasetSource(dataset, tokenizer, { ...rows, seed: config.trainer.seed });
  return runSft({ source, model, run, resume, config: trainerConfig(config, dataset.length), signal, onEvent: progress.onEvent });
}

function useOf(dir: string, { step }: SftResult): string {
  const model = join(dir, "checkpoints", `step-${String(step).padStart(6, "0")}`, "policy");
  return `The model is in ${model}; talk to it with: primekit generate --chat --model ${model}`;
}
