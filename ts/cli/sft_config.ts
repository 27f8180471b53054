// The configuration of `primekit sft`: which model, which data, how long; and the trainer's options, with defaults for real models.
import { z } from "zod";
import { mappingNames } from "../data/mappings/index.ts";
import { PrimekitError } from "../errors.ts";
import { promptStyles } from "../tokenizer/prompts.ts";
import { parseOptions, parseSftConfig, type SftConfig, sftConfigSchema } from "../train/config.ts";
import { type Flag, flagsOf, type Options } from "./flags.ts";
import { deviceSchema, formatSchema } from "./job_schemas.ts";
import { optionPaths } from "./options.ts";

const text = (description: string, fallback = "") => z.string().default(fallback).describe(description);
const count = (fallback: number, min: number, description: string) => z.number().int().min(min).default(fallback).describe(description);

const placeSchema = z.strictObject({
  run: text("name of the run; made from the time unless given"),
  runs: text("folder that holds the runs", "runs"),
  threads: count(0, 0, "threads of native work; 0 = one per core"),
});

const inputSchema = z.strictObject({
  model: text("the model to start from: a Hugging Face directory, or the id of one on the hub"),
  device: deviceSchema,
  dtype: z.enum(["float32", "bfloat16"]).default("bfloat16").describe("what matrix products are computed in; weights stay float32"),
  moments: z.enum(["float32", "bfloat16"]).default("float32").describe("what AdamW's moments are kept in; bfloat16 takes half the memory"),
  recompute: z.boolean().default(false).describe("recompute activations in the backward pass, for memory"),
  data: text("examples: a JSON, JSON Lines, CSV or Parquet file, a directory of them, or the id of a dataset on the hub"),
  mapping: text(`what the columns mean: auto, ${mappingNames.join(", ")}`, "auto"),
  split: text("of a directory: the files named train…, validation…; those for training unless given"),
  format: formatSchema,
  heldOutSize: count(256, 0, "examples held out for the eval loss, at most half of all"),
  maxBadShare: z.number().min(0).max(1).default(0.02).describe("share of bad rows above which the run does not start"),
  maxLength: count(2048, 2, "longest example in tokens; longer ones are cut at the end"),
  promptStyle: z.enum(promptStyles).default("none").describe("PRIME's prompts around the question: none, math, code, or auto (by the row's ability)"),
  plain: z.boolean().default(false).describe("prompt and response as they are, without a chat template"),
  epochs: z.number().positive().default(1).describe("passes over the data"),
  warmup: z.number().min(0).max(1).default(0.1).describe("share of the steps in which the learning rate rises"),
});

/** Of the trainer's options, those that make sense without a verifier; `warmup` and `epochs` stand for the others. */
const trainerSchema = sftConfigSchema.omit({ maxNewTokens: true, generationSlots: true, stopAccuracy: true, warmupSteps: true }).extend({
  steps: count(0, 0, "optimizer steps; 0 = as many as the epochs have"),
});

const DEFAULTS = { lr: 1e-5, batchSize: 16, decay: "cosine", finalLrRatio: 0, beta2: 0.999, evalEvery: 50, saveEvery: 200 } as const satisfies Options;
const CHANGEABLE = ["steps", "evalEvery", "saveEvery", "threads", "maxTokensPerBatch"];

export interface SftJobConfig {
  place: z.output<typeof placeSchema>;
  input: z.output<typeof inputSchema>;
  trainer: z.output<typeof trainerSchema>;
  /** Examples to train on when the run began: the order of the data depends on it. */
  rows?: number;
}

export function sftFlags(): Flag[] {
  return [
    { name: "config", type: "string", description: "file with options (TypeScript, JSON, YAML or TOML); flags go before it", section: "Run" },
    { name: "resume", type: "string", valueOptional: true, description: "go on with the run of this name, or with the latest one", section: "Run" },
    ...flagsOf(placeSchema, "Run", "", {}),
    ...flagsOf(inputSchema, "Model and data", "", {}),
    ...flagsOf(trainerSchema, "Training", "", DEFAULTS),
  ];
}

/** A complete configuration from the options given. Throws ERR_CONFIG with one line per problem. */
export function resolveSft(given: Options): SftJobConfig {
  const pick = (schema: z.ZodObject) => Object.fromEntries(Object.entries(given).filter(([key]) => key in schema.shape));
  const [place, input] = [pick(placeSchema), pick(inputSchema)];
  const trainer = Object.fromEntries(Object.entries({ ...DEFAULTS, ...given }).filter(([key]) => !(key in place) && !(key in input)));
  const config = {
    place: parseOptions(placeSchema, place, "run"),
    input: parseOptions(inputSchema, input, "model or data"),
    trainer: parseOptions(trainerSchema, trainer, "training"),
  };
  for (const name of ["model", "data"] as const) {
    if (config.input[name] === "") throw new PrimekitError("ERR_CONFIG", `--${name} is missing: ${inputSchema.shape[name].description}.`);
  }
  return config;
}

/** The configuration of a run that goes on: its own, with the few options that may change. Throws ERR_CONFIG for any other option. */
export function resumeSft(saved: SftJobConfig, given: Options): SftJobConfig {
  const fixed = optionPaths(given).find((path) => !CHANGEABLE.includes(path) && path !== "runs");
  if (fixed) throw new PrimekitError("ERR_CONFIG", `${fixed} is fixed by the run that --resume goes on with; only ${CHANGEABLE.join(", ")} may change.`);
  const { threads = saved.place.threads, runs: _, ...trainer } = given;
  return {
    ...saved,
    place: parseOptions(placeSchema, { ...saved.place, threads }, "run"),
    trainer: parseOptions(trainerSchema, { ...saved.trainer, ...trainer }, "training"),
  };
}

/** What the trainer gets, for a dataset of `rows` examples. */
export function trainerConfig({ input, trainer }: SftJobConfig, rows: number): SftConfig {
  const steps = trainer.steps || Math.max(1, Math.round((input.epochs * rows) / trainer.batchSize));
  return parseSftConfig({ ...trainer, steps, warmupSteps: Math.round(input.warmup * steps) });
}
