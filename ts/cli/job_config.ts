// The main job's configuration: one model, one task, fine-tuning, then PRIME. PRIME's options stand at the top, the others under a name.
import { z } from "zod";
import type { ArithmeticOptions } from "../data/arithmetic.ts";
import { arithmeticDefaults } from "../data/arithmetic.ts";
import { PrimekitError } from "../errors.ts";
import { type OptionHelp, type PrimeConfig, parsePrimeConfig, parseSftConfig, primeConfigSchema, type SftConfig, sftConfigSchema } from "../train/config.ts";
import { jobDefaults } from "./defaults.ts";
import { type Flag, mergeOptions, type Options } from "./flags.ts";

const size = (fallback: number, text: string) => z.number().int().positive().default(fallback).describe(text);

const modelSchema = z.strictObject({
  hiddenSize: size(256, "hidden size (C)"),
  intermediateSize: size(768, "feed-forward size (F)"),
  numHiddenLayers: size(6, "layers (L)"),
  numAttentionHeads: size(4, "query heads (NH)"),
  numKeyValueHeads: size(2, "key/value heads (NKV)"),
  tieWordEmbeddings: z.boolean().default(true).describe("share the embedding with the output projection"),
  initializerRange: z.number().positive().default(0.02).describe("standard deviation of random weights"),
  dtype: z.enum(["float32", "bfloat16"]).default("bfloat16").describe("what matrix products are computed in; weights and optimizer stay float32"),
  recompute: z.boolean().default(false).describe("recompute activations in the backward pass, for memory"),
  seed: z.number().int().min(0).default(1).describe("seed of the random weights; follows --seed unless given"),
});

const integer = (name: "seed" | "minSteps" | "maxSteps" | "heldOutSize", text: string) =>
  z.number().int().min(0).default(arithmeticDefaults[name]).describe(text);
const share = (name: "slipRate" | "habitShare" | "habitRate", text: string) => z.number().min(0).max(1).default(arithmeticDefaults[name]).describe(text);

const taskSchema = z.strictObject({
  name: z.enum(["arithmetic"]).default("arithmetic").describe("what is learned"),
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

const placeSchema = z.strictObject({
  run: z.string().default("").describe("name of the run; made from the algorithm and the time unless given"),
  runs: z.string().default("runs").describe("folder that holds the runs"),
  init: z.string().default("").describe("start from this Hugging Face directory instead of fine-tuning a new model"),
  threads: z.number().int().min(0).default(0).describe("threads of native work; 0 = one per core"),
});

export type ModelSettings = z.output<typeof modelSchema>;
export type TaskSettings = z.output<typeof taskSchema>;

export interface JobConfig {
  place: z.output<typeof placeSchema>;
  model: ModelSettings;
  task: TaskSettings;
  sft: SftConfig;
  prime: PrimeConfig;
}

const SECTIONS = { model: modelSchema, task: taskSchema, sft: sftConfigSchema };
/** What may change when a run goes on: how far, how often, where. All else is the run's own. */
const CHANGEABLE = ["steps", "evalEvery", "saveEvery", "rolloutsEvery", "sampleAnswers", "sft.steps", "sft.evalEvery", "sft.saveEvery", "threads"];

/** Flags of the main job. */
export function jobFlags(): Flag[] {
  const own: Flag[] = [
    { name: "config", type: "string", description: "file with options (TypeScript, JSON, YAML or TOML); flags go before it", section: "Run" },
    { name: "resume", type: "string", valueOptional: true, description: "go on with the run of this name, or with the latest one", section: "Run" },
    ...flagsOf(placeSchema, "Run", "", {}),
  ];
  const prime = flagsOf(primeConfigSchema, "PRIME", "", jobDefaults);
  const titles = { model: "Model", task: "Task", sft: "Fine-tuning" };
  const names = Object.keys(SECTIONS) as (keyof typeof SECTIONS)[];
  const nested = names.flatMap((key) => flagsOf(SECTIONS[key], titles[key], `${key}.`, { ...jobDefaults[key], seed: jobDefaults.seed }));
  return [...own, ...prime, ...nested];
}

/** A complete configuration from the options given (file and flags). Throws ERR_CONFIG with one line per problem. */
export function resolveJob(given: Options): JobConfig {
  const seed = given.seed ?? jobDefaults.seed; // --seed reaches every part that has no seed of its own
  const seeded = mergeOptions(
    { ...jobDefaults, seed, sft: { ...jobDefaults.sft, seed }, model: { ...jobDefaults.model, seed }, task: { ...jobDefaults.task, seed } } as Options,
    given,
  );
  const { model, task, sft, ...rest } = seeded;
  const place = Object.fromEntries(Object.keys(placeSchema.shape).flatMap((key) => (key in rest ? [[key, rest[key]]] : [])));
  const prime = Object.fromEntries(Object.entries(rest).filter(([key]) => !(key in placeSchema.shape)));
  const config = {
    place: parseOptions(placeSchema, place, "run"),
    model: parseOptions(modelSchema, model, "model"),
    task: parseOptions(taskSchema, task, "task"),
    sft: parseSftConfig(sft as never),
    prime: parsePrimeConfig(prime as never),
  };
  if (config.task.minSteps > config.task.maxSteps) {
    throw new PrimekitError("ERR_CONFIG", `task.minSteps must not exceed task.maxSteps, but got ${config.task.minSteps} and ${config.task.maxSteps}.`);
  }
  return config;
}

/** The configuration of a run that goes on: its own, with the few options that may change. Throws ERR_CONFIG for any other option. */
export function resumeJob(saved: JobConfig, given: Options): JobConfig {
  const fixed = optionPaths(given).find((path) => !CHANGEABLE.includes(path) && path !== "runs");
  if (fixed) throw new PrimekitError("ERR_CONFIG", `${fixed} is fixed by the run that --resume goes on with; only ${CHANGEABLE.join(", ")} may change.`);
  const { sft, threads, runs: _, ...prime } = given;
  return {
    ...saved,
    place: { ...saved.place, ...(threads === undefined ? {} : { threads: threads as number }) },
    sft: parseSftConfig({ ...saved.sft, ...(sft as object) }),
    prime: parsePrimeConfig({ ...saved.prime, ...prime }),
  };
}

export function taskOptions({ name: _, operations, ...options }: TaskSettings): ArithmeticOptions {
  return { ...options, operations: [...operations] as ArithmeticOptions["operations"] };
}

// --- internal ---

type FlatSchema = z.ZodObject<Record<string, z.ZodDefault<z.ZodType>>>;

export function flagsOf(schema: z.ZodObject, section: string, prefix: string, defaults: Options): Flag[] {
  return Object.entries((schema as FlatSchema).shape).map(([key, field]) => {
    const inner = field.unwrap();
    const fallback = (defaults[key] ?? field.parse(undefined)) as OptionHelp["default"];
    const type = typeof fallback as Flag["type"];
    const choices = inner instanceof z.ZodEnum ? { choices: inner.options.map(String) } : {};
    return { name: `${prefix}${key}`, type, description: field.description ?? "", default: fallback, section, ...choices };
  });
}

export function parseOptions<S extends z.ZodObject>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value ?? {});
  if (result.success) return result.data as z.output<S>;
  const lines = result.error.issues.map((issue) => {
    if (issue.code === "unrecognized_keys") return `There is no ${what} option ${issue.keys.join(", ")}; there are ${Object.keys(schema.shape).join(", ")}.`;
    return `The ${what} option ${issue.path.join(".")} is wrong: ${issue.message}.`;
  });
  throw new PrimekitError("ERR_CONFIG", lines.join("\n"));
}

export function optionPaths(options: Options, prefix = ""): string[] {
  return Object.entries(options).flatMap(([key, value]) => (typeof value === "object" ? optionPaths(value, `${prefix}${key}.`) : [`${prefix}${key}`]));
}
