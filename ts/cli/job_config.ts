// The main job's configuration: one model, one task or dataset, fine-tuning, then PRIME. PRIME's options stand at the top, the others under a name.
import type { ArithmeticOptions } from "../data/arithmetic.ts";
import { PrimekitError } from "../errors.ts";
import { type PrimeConfig, parseOptions, parsePrimeConfig, parseSftConfig, primeConfigSchema, type SftConfig, sftConfigSchema } from "../train/config.ts";
import { dataDefaults, jobDefaults } from "./defaults.ts";
import { type Flag, flagsOf, mergeOptions, type Options } from "./flags.ts";
import {
  type DataSettings,
  dataSchema,
  type ModelSettings,
  modelSchema,
  type PlaceSettings,
  placeSchema,
  type TaskSettings,
  taskSchema,
} from "./job_schemas.ts";
import { optionLeaves } from "./options.ts";
import { isModulePath } from "./user_module.ts";

export interface JobConfig {
  place: PlaceSettings;
  model: ModelSettings;
  task: TaskSettings;
  data: DataSettings;
  sft: SftConfig;
  prime: PrimeConfig;
  /** Written into the run's config.json: what names stood for when the run began. */
  resolved?: Resolved;
}

/** Folders and files that model and data were resolved to, and how much data there was: a run goes on with the same. */
export interface Resolved {
  model?: string;
  data?: string;
  heldOut?: string;
  rows?: number[]; // problems to train on, of each report
}

const SECTIONS = { model: modelSchema, task: taskSchema, data: dataSchema, sft: sftConfigSchema };
/** Flags that are shorter than their place in the configuration. */
const SHORT: Record<string, string> = {
  "model.source": "model",
  "model.device": "device",
  "task.name": "task",
  "data.source": "data",
  "data.verifier": "verifier",
  "data.promptStyle": "promptStyle",
};
/** What may change when a run goes on: how far, how often, where. All else is the run's own. */
const CHANGEABLE = ["steps", "evalEvery", "saveEvery", "rolloutsEvery", "sampleAnswers", "sft.steps", "sft.evalEvery", "sft.saveEvery", "threads", "runs"];
const FUNCTION = "a function of the configuration file"; // in config.json, which cannot hold one

/** Flags of the main job. */
export function jobFlags(): Flag[] {
  const own: Flag[] = [
    { name: "config", type: "string", description: "file with options (TypeScript, JSON, YAML or TOML); flags go before it", section: "Run" },
    { name: "resume", type: "string", valueOptional: true, description: "go on with the run of this name, or with the latest one", section: "Run" },
    ...flagsOf(placeSchema, "Run", "", {}),
  ];
  const prime = flagsOf(primeConfigSchema, "PRIME (defaults of the built-in task; with --data or --task the paper's)", "", jobDefaults);
  const titles = { model: "Model", task: "Built-in task", data: "Data", sft: "Fine-tuning" };
  const names = Object.keys(SECTIONS) as (keyof typeof SECTIONS)[];
  const defaults: Options = { ...jobDefaults, data: {} };
  const nested = names.flatMap((key) => flagsOf(SECTIONS[key], titles[key], `${key}.`, { ...(defaults[key] as Options), seed: jobDefaults.seed }));
  return [...own, ...prime, ...nested].map((flag) => (flag.name in SHORT ? { ...flag, name: SHORT[flag.name], path: flag.name } : flag));
}

/** A complete configuration from the options given (file and flags). Throws ERR_CONFIG with one line per problem. */
export function resolveJob(given: Options): JobConfig {
  const options = expandShort(given);
  const defaults: Options = isBuiltIn(options) ? jobDefaults : dataDefaults;
  const seed = options.seed ?? defaults.seed; // --seed reaches every part that has no seed of its own
  const parts = Object.fromEntries(["sft", "model", "task"].map((key) => [key, { ...(defaults[key] as Options), seed }]));
  const { model, task, data, sft, ...rest } = mergeOptions({ ...defaults, seed, ...parts }, options);
  const place = Object.fromEntries(Object.keys(placeSchema.shape).flatMap((key) => (key in rest ? [[key, rest[key]]] : [])));
  const prime = Object.fromEntries(Object.entries(rest).filter(([key]) => !(key in placeSchema.shape)));
  const config = {
    place: parseOptions(placeSchema, place, "run"),
    model: parseOptions(modelSchema, model, "model"),
    task: parseOptions(taskSchema, task, "task"),
    data: parseOptions(dataSchema, data, "data"),
    sft: parseSftConfig(sft as never),
    prime: parsePrimeConfig(prime as never),
  };
  config.model.source ||= config.place.init;
  checkTogether(config, options);
  return config;
}

/** The configuration of a run that goes on: its own, with the few options that may change. Throws ERR_CONFIG for any other option with another value. */
export function resumeJob(saved: JobConfig, given: Options): JobConfig {
  const options = expandShort(given);
  const data = { ...parseOptions(dataSchema, saved.data, "data") }; // runs of earlier versions have none
  const own = { ...saved.place, ...saved.prime, model: saved.model, task: saved.task, data, sft: saved.sft } as unknown as Options;
  const mapping = (options.data as Options | undefined)?.mapping as unknown;
  if (data.mapping === FUNCTION) {
    if (typeof mapping !== "function")
      throw new PrimekitError("ERR_CONFIG", "The run's data mapping is a function: go on with the --config file that holds it.");
    data.mapping = mapping as never;
  }
  const before = new Map(optionLeaves(own));
  const fixed = optionLeaves(options).find(([path, value]) => !CHANGEABLE.includes(path) && before.get(path) !== value);
  if (fixed) throw new PrimekitError("ERR_CONFIG", `${fixed[0]} is fixed by the run that --resume goes on with; only ${CHANGEABLE.join(", ")} may change.`);
  const changed = Object.fromEntries(optionLeaves(options).filter(([path]) => CHANGEABLE.includes(path)));
  const under = (prefix: string) =>
    Object.fromEntries(Object.entries(changed).flatMap(([path, value]) => (path.startsWith(prefix) ? [[path.slice(prefix.length), value]] : [])));
  const { threads, runs: _, ...top } = Object.fromEntries(Object.entries(changed).filter(([path]) => !path.includes(".")));
  return {
    ...saved,
    data,
    place: { ...saved.place, ...(threads === undefined ? {} : { threads: threads as number }) },
    sft: parseSftConfig({ ...saved.sft, ...under("sft.") }),
    prime: parsePrimeConfig({ ...saved.prime, ...top }),
  };
}

/** A configuration as config.json can hold it. */
export function savable(config: JobConfig): JobConfig {
  return typeof config.data.mapping === "function" ? { ...config, data: { ...config.data, mapping: FUNCTION } } : config;
}

export function taskOptions({ name: _, operations, ...options }: TaskSettings): ArithmeticOptions {
  return { ...options, operations: [...operations] as ArithmeticOptions["operations"] };
}

// --- internal ---

/** In files, too, `model: "DIR"` stands for `model: { source: "DIR" }`, and verifier and promptStyle may stand at the top. */
function expandShort(given: Options): Options {
  let options: Options = { ...given };
  for (const [path, short] of Object.entries(SHORT)) {
    const [section, name] = path.split(".");
    const value = options[short];
    if (value === undefined || typeof value === "object") continue;
    const { [short]: _, ...rest } = options;
    options = mergeOptions(rest, { [section]: { [name]: value } });
  }
  return options;
}

function isBuiltIn({ data, task }: Options): boolean {
  return !(data as Options | undefined)?.source && !isModulePath(String((task as Options | undefined)?.name ?? ""));
}

function checkTogether({ place, model, task, data }: JobConfig, options: Options): void {
  const fail = (message: string): never => {
    throw new PrimekitError("ERR_CONFIG", message);
  };
  if (task.minSteps > task.maxSteps) fail(`task.minSteps must not exceed task.maxSteps, but got ${task.minSteps} and ${task.maxSteps}.`);
  if (place.init && model.source !== place.init) fail(`--init and --model are the same option, but got ${place.init} and ${model.source}.`);
  const isModule = isModulePath(task.name);
  if (!isModule && task.name !== "arithmetic") fail(`--task must be arithmetic or a TypeScript file, but got ${JSON.stringify(task.name)}.`);
  if (isModule && data.source) fail("--task and --data exclude each other: both say what is learned.");
  if (data.source && !model.source) fail("--data needs --model: the tokenizer comes with the model.");
  const [stray] = data.source ? [] : optionLeaves({ data: options.data ?? {} });
  if (stray) fail(`${SHORT[stray[0]] ?? stray[0]} says how data is read, but there is no --data.`);
}
