// The options of the main job that are no trainer's: model, built-in task, data, place.
import { z } from "zod";
import { arithmeticDefaults } from "../data/arithmetic.ts";
import type { MappingOption } from "../data/mappings/index.ts";
import type { Format } from "../data/records/types.ts";
import { promptStyles } from "../tokenizer/prompts.ts";

const size = (fallback: number, text: string) => z.number().int().positive().default(fallback).describe(text);
const count = (fallback: number, text: string) => z.number().int().min(0).default(fallback).describe(text);
const text = (fallback: string, description: string) => z.string().default(fallback).describe(description);

export const deviceSchema = z
  .enum(["auto", "cpu", "cuda"])
  .default("auto")
  .describe("where models run; auto: a GPU that the build and the driver support, else the CPU");

export const modelSchema = z.strictObject({
  source: text("", "start from this model, a Hugging Face directory or an id on the hub (ORG/NAME), instead of fine-tuning a new one"),
  hiddenSize: size(256, "hidden size (C)"),
  intermediateSize: size(768, "feed-forward size (F)"),
  numHiddenLayers: size(6, "layers (L)"),
  numAttentionHeads: size(4, "query heads (NH)"),
  numKeyValueHeads: size(2, "key/value heads (NKV)"),
  tieWordEmbeddings: z.boolean().default(true).describe("share the embedding with the output projection"),
  initializerRange: z.number().positive().default(0.02).describe("standard deviation of random weights"),
  dtype: z.enum(["float32", "bfloat16"]).default("bfloat16").describe("what matrix products are computed in; weights stay float32"),
  moments: z.enum(["float32", "bfloat16"]).default("float32").describe("what AdamW's moments are kept in; bfloat16 takes half the memory"),
  device: deviceSchema,
  recompute: z.boolean().default(false).describe("recompute activations in the backward pass, for memory"),
  seed: count(1, "seed of the random weights; follows --seed unless given"),
});

const integer = (name: "seed" | "minSteps" | "maxSteps" | "heldOutSize", text: string) => count(arithmeticDefaults[name], text);
const share = (name: "slipRate" | "habitShare" | "habitRate", text: string) => z.number().min(0).max(1).default(arithmeticDefaults[name]).describe(text);

export const taskSchema = z.strictObject({
  name: text("arithmetic", "what is learned: arithmetic, or a TypeScript file whose default export is a Task or makes one"),
  seed: integer("seed", "seed of the problems; follows --seed unless given"),
  minSteps: integer("minSteps", "fewest steps in a problem"),
  maxSteps: integer("maxSteps", "most steps in a problem"),
  operations: z
    .string()
    .regex(/^[+*-]+$/, "expected some of + - *")
    .default(arithmeticDefaults.operations.join(""))
    .describe("operations in a problem"),
  slipRate: share("slipRate", "chance that a demonstration slips, per step where it can"),
  habitShare: share("habitShare", "share of the possible slips (by the digit added) at which the wrong way is a habit of the demonstrations"),
  habitRate: share("habitRate", "chance of a slip at those"),
  heldOutSize: integer("heldOutSize", "held-out problems"),
});

const mappingSchema = z.custom<MappingOption>(
  (value) => ["string", "function"].includes(typeof value) || isTable(value),
  "expected a name, field paths or a function",
);

/** Of a directory that has data in several formats. "auto" is no format: undefined. */
export const formatSchema = z
  .enum(["auto", "parquet", "jsonl", "csv", "json"])
  .default("auto")
  .describe("which files of a directory to take; auto: the first of these that is there, when the others hold the same");

export function formatOf(format: z.output<typeof formatSchema>): Format | undefined {
  return format === "auto" ? undefined : format;
}

export const dataSchema = z.strictObject({
  source: text("", "train on these problems instead of the built-in task: a file, a directory or a dataset on the hub (ORG/NAME, or ORG/NAME/FOLDER)"),
  split: text("", "train, validation or test, by the files' names; the training files unless given"),
  format: formatSchema,
  mapping: mappingSchema
    .default("auto")
    .describe("which column is what: auto, a ready mapping (gsm8k, math, eurus, …), or in a configuration file field paths or a function"),
  heldOut: text("", "file, directory or hub id of held-out problems; rows of the data itself unless given"),
  heldOutSplit: text("", "split of heldOut; test, else validation, by the files' names, unless given"),
  heldOutSize: size(256, "held-out problems, at most"),
  verifier: text("auto", "judges answers: math, code, auto (by each row's ability), arithmetic, or a TypeScript file whose default export is a Verifier"),
  promptStyle: z.enum(promptStyles).default("auto").describe("what prompts add: PRIME's for math or code, auto (by each row's ability), none"),
  chatTemplate: z.boolean().default(true).describe("write prompts with the tokenizer's chat template; false for models that know no chat"),
  maxPromptTokens: size(1024, "drop problems with longer prompts"),
  maxBadShare: z.number().min(0).max(1).default(0.02).describe("stop when a larger share of the rows is bad"),
});

export const placeSchema = z.strictObject({
  run: text("", "name of the run; made from the algorithm and the time unless given"),
  runs: text("runs", "folder that holds the runs"),
  init: text("", "the same as --model"),
  threads: count(0, "threads of native work; 0 = one per core"),
});

export type ModelSettings = z.output<typeof modelSchema>;
export type TaskSettings = z.output<typeof taskSchema>;
export type DataSettings = z.output<typeof dataSchema>;
export type PlaceSettings = z.output<typeof placeSchema>;

// --- internal ---

function isTable(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.values(value).every((path) => typeof path === "string");
}
