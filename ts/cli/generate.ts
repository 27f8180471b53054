// `primekit generate`: one prompt, a file of prompts, or a chat on the terminal.
import { z } from "zod";
import { mappingNames } from "../data/mappings/index.ts";
import { PrimekitError } from "../errors.ts";
import { resolveModel } from "../hub/resolve.ts";
import { checkTokenizerFits, Model } from "../model.ts";
import { native } from "../native/addon.ts";
import type { TextOptions } from "../rollout/text.ts";
import { promptStyles } from "../tokenizer/prompts.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { parseOptions } from "../train/config.ts";
import type { Command } from "./command.ts";
import { writingWork } from "./command_plans.ts";
import { flagsOf, type Options } from "./flags.ts";
import { chat } from "./generate_chat.ts";
import { answerFile, answerOne } from "./generate_prompts.ts";
import { createDownloadProgress } from "./hub_progress.ts";
import { deviceSchema } from "./job_schemas.ts";
import { modelConfigIn, requireMemory } from "./memory_plan.ts";
import { withModels } from "./with_models.ts";

const text = (description: string, fallback = "") => z.string().default(fallback).describe(description);
const count = (fallback: number, min: number, description: string) => z.number().int().min(min).default(fallback).describe(description);
const flag = (description: string) => z.boolean().default(false).describe(description);

const modelSchema = z.strictObject({
  model: text("the model: a Hugging Face directory (a checkpoint's policy/ is one), or the id of one on the hub"),
  device: deviceSchema,
  dtype: z.enum(["float32", "bfloat16"]).default("bfloat16").describe("what is computed in"),
  threads: count(0, 0, "threads of native work; 0 = one per core"),
});
const promptSchema = z.strictObject({
  prompt: text("one prompt, answered as text"),
  prompts: text("a file of prompts: .txt (one a line), JSON Lines, JSON, CSV or Parquet; answered as JSON Lines"),
  chat: flag("talk to the model"),
  system: text("system message"),
  promptStyle: z.enum(promptStyles).default("none").describe("PRIME's prompts around the question: none, math, code, or auto (by the row's ability)"),
  plain: flag("prompts are continued as they are, without a chat template; always so where the model has none"),
  mapping: text(`what the columns of --prompts mean: auto, ${mappingNames.join(", ")}`, "auto"),
});
const samplingSchema = z.strictObject({
  samples: count(1, 1, "answers per prompt"),
  maxNewTokens: count(512, 1, "longest answer, in tokens"),
  temperature: z.number().min(0).default(1).describe("sampling temperature; 0 = always the likeliest token"),
  topP: z.number().gt(0).max(1).default(1).describe("nucleus sampling; 1 = off"),
  topK: count(0, 0, "sample among the k likeliest tokens; 0 = off"),
  stop: text("a text at which an answer ends; several as a JSON list"),
  seed: count(1, 0, "equal seeds give equal answers"),
  slots: count(64, 1, "answers written at once"),
});
const outputSchema = z.strictObject({
  out: text("write JSON Lines to this new file"),
  logprobs: flag("with every answer its token ids and their log-probabilities; as JSON Lines"),
});

export type GenerateConfig = z.output<typeof modelSchema> & z.output<typeof promptSchema> & z.output<typeof samplingSchema> & z.output<typeof outputSchema>;

/** What the three ways to generate have in common. */
export interface Speaker {
  model: Model;
  tokenizer: Tokenizer;
  config: GenerateConfig;
  sampling: TextOptions;
}

export const generateCommand: Command = {
  name: "generate",
  description: "Answers one prompt, a file of prompts, or you in a chat, with any model folder.",
  flags: [
    ...flagsOf(modelSchema, "Model", "", {}),
    ...flagsOf(promptSchema, "Prompts", "", {}),
    ...flagsOf(samplingSchema, "Sampling", "", {}),
    ...flagsOf(outputSchema, "Output", "", {}),
  ],
  run: generate,
};

// --- internal ---

async function generate(options: Options): Promise<number> {
  const schema = z.strictObject({ ...modelSchema.shape, ...promptSchema.shape, ...samplingSchema.shape, ...outputSchema.shape });
  const config: GenerateConfig = parseOptions(schema, options, "generation");
  check(config, options);
  const stop = stopsOf(config.stop);
  if (config.threads > 0) native().setThreads(config.threads);
  const hub = createDownloadProgress(process.stderr);
  const dir = await resolveModel(config.model, hub).finally(hub.stop);
  const tokenizer = await Tokenizer.load(dir);
  await requireRoom(dir, config, tokenizer);
  const { device, dtype } = config;
  return withModels([() => Model.load(dir, { device, dtype, trainable: false })], (model) => speak(model, tokenizer, config, stop));
}

function speak(model: Model, tokenizer: Tokenizer, config: GenerateConfig, stop: string[]): Promise<number> {
  const { samples, maxNewTokens, temperature, topP, topK, seed, slots } = config;
  const sampling = { samples, maxNewTokens, temperature, topP, topK, seed, stop, maxBatch: slots };
  const speaker = { model, tokenizer, sampling, config: { ...config, plain: config.plain || !tokenizer.hasChatTemplate } };
  checkTokenizerFits(tokenizer, model.config, `The model ${config.model}`);
  if (config.chat) return chat(speaker);
  return config.prompts === "" ? answerOne(speaker) : answerFile(speaker);
}

/** Prompts still to come count nothing: only what is certain is held against the run. */
async function requireRoom(dir: string, { device, dtype, slots, samples, maxNewTokens, ...asked }: GenerateConfig, tokenizer: Tokenizer): Promise<void> {
  const answers = asked.chat ? 1 : asked.prompts === "" ? samples : slots;
  const sizes = { answers, promptTokens: tokenizer.encode(asked.prompt).length, newTokens: maxNewTokens };
  requireMemory(writingWork({ device, dtype, slots }, await modelConfigIn(dir), sizes));
}

function check(config: GenerateConfig, given: Options): void {
  const fail = (message: string): never => {
    throw new PrimekitError("ERR_CONFIG", message);
  };
  if (config.model === "") fail(`--model is missing: ${modelSchema.shape.model.description}.`);
  if (["prompt", "prompts", "chat"].filter((name) => given[name]).length !== 1) fail("Give one of --prompt, --prompts and --chat.");
  const unused = config.chat ? ["samples", "out", "logprobs"].find((name) => given[name] !== undefined) : undefined;
  if (unused) fail(`--${unused} does not go with --chat.`);
}

/** One text, or a JSON list of texts. */
function stopsOf(stop: string): string[] {
  if (!stop.startsWith("[")) return stop === "" ? [] : [stop];
  try {
    const list: unknown = JSON.parse(stop);
    if (Array.isArray(list) && list.every((entry) => typeof entry === "string" && entry !== "")) return list;
  } catch {
    // falls through: not JSON either
  }
  throw new PrimekitError(
    "ERR_CONFIG",
    `--stop begins with "[", so it must be a JSON list of texts, but it is ${stop}. A text that begins so is written ["[…"].`,
  );
}
