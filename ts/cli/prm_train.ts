// `primekit prm train`: an implicit PRM from labelled answers, in a run folder that can be resumed.
import { join, resolve } from "node:path";
import { z } from "zod";
import { promptFormats } from "../data/prm/encode.ts";
import { type PrmExample, splitRules } from "../data/prm/example.ts";
import { prmMappings } from "../data/prm/mappings.ts";
import { readPrmExamples } from "../data/prm/read.ts";
import { PrimekitError } from "../errors.ts";
import { modelIdentity } from "../eval/logprob_cache.ts";
import { Model } from "../model.ts";
import { native } from "../native/addon.ts";
import { listRuns, RunFolder } from "../run/run_folder.ts";
import { didYouMean } from "../suggest.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { parseOptions } from "../train/config.ts";
import { type PrmResult, type PrmRunOptions, runPrm } from "../train/prm.ts";
import { type PrmConfig, parsePrmConfig, prmConfigSchema } from "../train/prm_config.ts";
import { type PrmData, preparePrmData } from "../train/prm_data.ts";
import type { Command } from "./command.ts";
import { trainingWork } from "./command_plans.ts";
import { readConfigFile } from "./config_file.ts";
import { flagsOf, mergeOptions, type Options } from "./flags.ts";
import { percent, shortDuration, table } from "./format.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { deviceSchema } from "./job_schemas.ts";
import { modelConfigIn, requireMemory } from "./memory_plan.ts";
import { locate, sameTokenizer } from "./prm_models.ts";
import { createProgress } from "./progress.ts";
import { renderPlace } from "./report.ts";
import { withModels } from "./with_models.ts";

const choices = <K extends string>(table: Record<K, unknown>) => Object.keys(table) as [K, ...K[]];

/** Where things come from and go to; the trainer's own options are in train/prm_config.ts. */
const placeSchema = z.strictObject({
  model: z.string().default("").describe("model to train (with its tokenizer): a Hugging Face directory or an id on the hub (ORG/NAME)"),
  ref: z.string().default("").describe("the frozen reference, likewise; the model itself, as it is at the start, unless given"),
  data: z
    .string()
    .default("")
    .describe("labelled answers: a .jsonl, .json, .csv or .parquet file, a directory of them, or a dataset on the hub; several with commas between"),
  mapping: z.enum(choices(prmMappings)).default("auto").describe("format of the data"),
  split: z
    .enum(choices(splitRules))
    .default("auto")
    .describe("how answers without steps are cut: at blank lines, at line ends, at neither, or (auto) at blank lines if there are any"),
  separator: z.string().default("\\n\\n").describe("put between steps that come without one (\\n is a line end)"),
  promptFormat: z.enum(promptFormats).default("auto").describe("a prompt that is a text: taken as it is, as a user's message, or as it looks"),
  device: deviceSchema,
  dtype: z.enum(["float32", "bfloat16"]).default("bfloat16").describe("what matrix products are computed in; weights stay float32"),
  moments: z.enum(["float32", "bfloat16"]).default("float32").describe("what AdamW's moments are kept in; bfloat16 takes half the memory"),
  recompute: z.boolean().default(false).describe("recompute activations in the backward pass, for memory"),
  run: z.string().default("").describe("name of the run; made from the time unless given"),
  runs: z.string().default("runs").describe("folder that holds the runs"),
  cache: z.string().default("").describe("folder for the reference's log-probs; RUNS/.reference unless given"),
  threads: z.number().int().min(0).default(0).describe("threads of native work; 0 = one per core"),
});

type Place = z.output<typeof placeSchema>;
interface PrmJob {
  kind: "prm";
  place: Place;
  prm: PrmConfig;
}

/** What may change when a run goes on. */
const CHANGEABLE = ["steps", "epochs", "evalEvery", "saveEvery", "threads", "cache", "runs"];

export const prmTrainCommand: Command = {
  name: "prm train",
  description: "Trains an implicit process reward model from labels of whole answers (stage 1), of steps (stage 2), or both.",
  flags: [
    { name: "config", type: "string", description: "file with options (TypeScript, JSON, YAML or TOML); flags go before it", section: "Run" },
    { name: "resume", type: "string", valueOptional: true, description: "go on with the run of this name, or with the latest one", section: "Run" },
    ...flagsOf(placeSchema, "Run", "", {}),
    ...flagsOf(prmConfigSchema, "Training", "", {}),
  ],
  async run(options, invocation) {
    const { config: file, resume, ...flags } = options;
    const given = mergeOptions(file === undefined ? {} : await readConfigFile(String(file)), flags);
    const job = resume === undefined ? newJob(given) : await resumedJob(String(resume), given);
    return trainJob(job, resume !== undefined, invocation);
  },
};

// --- internal ---

function newJob(given: Options): PrmJob {
  const [place, rest] = splitOptions(given);
  const job: PrmJob = { kind: "prm", place: parseOptions(placeSchema, place as never, "PRM run"), prm: parsePrmConfig(rest as never) };
  for (const name of ["model", "data"] as const) {
    if (job.place[name] === "") throw new PrimekitError("ERR_CONFIG", `prm train needs --${name}: ${placeSchema.shape[name].description}.`);
  }
  job.place.run ||= `prm-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-")}`;
  return job;
}

async function resumedJob(name: string, given: Options): Promise<PrmJob> {
  const root = String(given.runs ?? "runs");
  const names = await listRuns(root);
  const chosen = name || names[0];
  if (chosen === undefined || !names.includes(chosen))
    throw new PrimekitError("ERR_CONFIG", `There is no run ${JSON.stringify(chosen ?? name)} in ${resolve(root)}.${didYouMean(chosen ?? "", names)}`);
  const saved = (await RunFolder.readConfig(resolve(root, chosen))) as PrmJob;
  if (saved.kind !== "prm") throw new PrimekitError("ERR_CONFIG", `The run ${chosen} was not made by "prm train", so it cannot go on with it.`);
  const fixed = Object.keys(given).find((option) => !CHANGEABLE.includes(option));
  if (fixed) throw new PrimekitError("ERR_CONFIG", `${fixed} is fixed by the run that --resume goes on with; only ${CHANGEABLE.join(", ")} may change.`);
  const [place, rest] = splitOptions(given);
  return { kind: "prm", place: { ...saved.place, ...place, run: chosen, runs: root }, prm: parsePrmConfig({ ...saved.prm, ...rest }) };
}

function splitOptions(given: Options): [Options, Options] {
  const isPlace = ([name]: [string, unknown]) => name in placeSchema.shape;
  const entries = Object.entries(given);
  return [Object.fromEntries(entries.filter(isPlace)), Object.fromEntries(entries.filter((entry) => !isPlace(entry)))];
}

async function trainJob({ place: named, prm: config }: PrmJob, resumes: boolean, invocation: string): Promise<number> {
  const place = await located(named);
  if (place.threads > 0) native().setThreads(place.threads);
  const tokenizer = await Tokenizer.load(place.model);
  if (place.ref) await sameTokenizer(tokenizer, place.model, place.ref);
  const examples = preparePrmData(tokenizer, await readAll(place), { ...config, promptFormat: place.promptFormat });
  await requireRoom(place, config, examples);
  const { device, dtype, moments, recompute } = place;
  const loads = [() => Model.load(place.model, { device, dtype, moments, recompute })];
  if (place.ref) loads.push(() => Model.load(place.ref, { device, dtype, trainable: false }));
  const job: PrmJob = { kind: "prm", place, prm: config };
  return withModels(loads, (model, reference) => trainModel(job, { config, tokenizer, examples, model, reference }, resumes, invocation));
}

/** In the run folder, with the models open. */
async function trainModel(job: PrmJob, options: PrmRunOptions, resumes: boolean, invocation: string): Promise<number> {
  const { place } = job;
  const progress = createProgress(process.stderr);
  const interrupt = listenForInterrupt(progress.say);
  const run = resumes ? await RunFolder.open(resolve(place.runs, place.run)) : await RunFolder.create(place.runs, place.run, job);
  try {
    if (resumes) await run.writeConfig(job);
    progress.say(`Run folder: ${run.dir}`);
    const resume = resumes ? await run.newestCheckpoint() : undefined;
    for (const sentence of resume?.skipped ?? []) progress.say(`${sentence} Going on from step ${resume?.step} instead.`);
    if (resumes && !resume) await run.truncateMetricsAfter(-1); // killed before its first checkpoint: it starts over
    const referenceCache = { dir: place.cache || join(place.runs, ".reference"), modelId: await modelIdentity(place.ref || place.model) };
    const result = await runPrm({ ...options, referenceCache, run, resume, signal: interrupt.signal, onEvent: progress.onEvent });
    progress.stop();
    process.stdout.write(`\n${[result.stopped ? "" : renderResult(result), renderPlace(run.dir, result.stopped, invocation)].filter(Boolean).join("\n\n")}\n`);
    return interrupt.exitCode() ?? 0;
  } finally {
    progress.stop();
    interrupt.dispose();
    await run.close();
  }
}

async function requireRoom(place: Place, { maxTokensPerBatch, batchSize }: PrmConfig, { rows, answers, steps }: PrmData): Promise<void> {
  const { device, dtype, moments, recompute } = place;
  const lengths = rows.map(({ prompt, response }) => prompt.length + response.length);
  const unitLengths = [...answers, ...steps].map((unit) => unit.reduce((sum, row) => sum + lengths[row], 0));
  const longest = (all: readonly number[]) => all.reduce((most, tokens) => Math.max(most, tokens), 0);
  const [model, reference] = [await modelConfigIn(place.model), place.ref ? await modelConfigIn(place.ref) : undefined];
  const sizes = { trained: { rows: batchSize, longest: longest(unitLengths) }, scored: { rows: rows.length, longest: longest(lengths) }, reference };
  requireMemory(trainingWork({ device, dtype, moments, recompute, maxTokensPerBatch }, model, sizes));
}

/** The place with folders for ids of the hub; the run remembers the folders, so that it goes on with the same. */
async function located(place: Place): Promise<Place> {
  const model = await locate("model", place.model);
  const ref = place.ref && (await locate("model", place.ref));
  const data = await Promise.all(place.data.split(",").map((source) => locate("data", source.trim())));
  return { ...place, model, ref, data: data.join(",") };
}

async function readAll({ data, mapping, split, separator }: Place): Promise<PrmExample[]> {
  const examples: PrmExample[] = [];
  const options = { mapping, split, separator: separator.replaceAll("\\n", "\n") };
  for (const source of data.split(",")) {
    for await (const example of readPrmExamples(source.trim(), options)) examples.push(example);
  }
  return examples;
}

function renderResult({ before, after, rows, seconds, step, skippedUpdates }: PrmResult): string {
  const measures = [
    ["loss", "eval/prmLoss", (x: number | undefined) => x?.toFixed(3) ?? "–"],
    ["accuracy", "eval/prmAccuracy", percent],
    ["AUC of answers", "eval/prmAuc", percent],
    ["AUC of steps", "eval/prmStepAuc", percent],
    ["calibration error", "eval/prmCalibration", percent],
    ["margin", "eval/prmMargin", (x: number | undefined) => x?.toFixed(3) ?? "–"],
  ] as const;
  const shown = measures.filter(([, name]) => before?.[name] !== undefined || after?.[name] !== undefined);
  const quality = shown.map(([title, name, format]) => [`  ${title}`, format(before?.[name]), format(after?.[name])]);
  const facts = [
    ["optimizer steps", String(step)],
    ["answers trained on", String(rows)],
  ];
  if (skippedUpdates > 0) facts.push(["updates skipped as not finite", String(skippedUpdates)]);
  const times = Object.entries(seconds).map(([phase, s]) => [`  ${phase}`, shortDuration(s)]);
  const parts = [table(facts), table([["time by phase", ""], ...times])];
  return [quality.length > 0 ? table([["held-out answers", "before", "after"], ...quality]) : "", ...parts].filter(Boolean).join("\n\n");
}
