// `primekit eval`: benchmarks by name; greedy, pass@k, majority vote and Best-of-N by a PRM, as a table, Markdown, JSON and pictures.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { PrimekitError } from "../errors.ts";
import { type BenchmarkName, benchmarks, findBenchmark, readBenchmark } from "../eval/benchmark/benchmarks.ts";
import { evaluateBenchmark } from "../eval/benchmark/evaluate.ts";
import { linesOf, renderBars, renderSvg } from "../eval/benchmark/plot.ts";
import { type BenchmarkResult, type EvalReport, renderMarkdown, summaryRows } from "../eval/benchmark/report.ts";
import { modelIdentity } from "../eval/logprob_cache.ts";
import { resolveDataset, resolveModel } from "../hub/resolve.ts";
import { Model } from "../model.ts";
import { native } from "../native/addon.ts";
import { writeFileAtomic } from "../run/io.ts";
import { didYouMean } from "../suggest.ts";
import { promptStyles } from "../tokenizer/prompts.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { parseOptions } from "../train/config.ts";

import type { Command } from "./command.ts";
import { writingWork } from "./command_plans.ts";
import { flagsOf, type Options } from "./flags.ts";
import { table } from "./format.ts";
import { createDownloadProgress } from "./hub_progress.ts";
import { type Interrupt, listenForInterrupt } from "./interrupt.ts";
import { deviceSchema } from "./job_schemas.ts";
import { makeVerifier } from "./job_verifier.ts";
import { modelConfigIn, requireMemory } from "./memory_plan.ts";
import { sameTokenizer } from "./prm_models.ts";

const NAMES = Object.keys(benchmarks) as BenchmarkName[];
const text = (description: string, fallback = "") => z.string().default(fallback).describe(description);
const count = (fallback: number, min: number, description: string) => z.number().int().min(min).default(fallback).describe(description);

const schema = z.strictObject({
  model: text("the model: a Hugging Face directory (a checkpoint's policy/ is one), or the id of one on the hub"),
  benchmarks: text(`which, with commas between: ${NAMES.join(", ")}; all that --data holds unless given`),
  data: text("folder with the benchmarks' files, at any depth; the hub unless given"),
  samples: count(16, 0, "answers per problem, beside the greedy one; 0 = greedy only"),
  temperature: z.number().positive().default(0.5).describe("of the samples (EurusPRM's Best-of-N: 0.5; the paper's avg@16: 0.3)"),
  topP: z.number().gt(0).max(1).default(1).describe("nucleus sampling; 1 = off"),
  maxNewTokens: count(0, 0, "longest answer, in tokens; 0 = the benchmark's own (1024 to 8192)"),
  seed: count(1, 0, "equal seeds give equal answers"),
  limit: count(0, 0, "the first so many problems of each benchmark; 0 = all"),
  verifier: text("math, code, auto (by the benchmark), or a TypeScript file with a verifier of your own", "auto"),
  promptStyle: z.enum(promptStyles).default("auto").describe("PRIME's system prompt and suffix around the question: none, math, code, or auto"),
  chatTemplate: z.boolean().default(true).describe("false: prompts are plain text, for models that know no chat"),
  prm: text("directory of an implicit PRM: adds Best-of-N and weighted Best-of-N"),
  reference: text("directory of the PRM's reference; --model unless given"),
  beta: z.number().positive().default(0.05).describe("scale of the PRM's log-ratio"),
  device: deviceSchema,
  dtype: z.enum(["float32", "bfloat16"]).default("bfloat16").describe("what matrix products are computed in"),
  slots: count(64, 1, "answers written at once"),
  maxTokensPerBatch: count(8192, 1, "tokens in one forward pass of the PRM"),
  threads: count(0, 0, "threads of native work; 0 = one per core"),
  out: text("folder for answers and report; an interrupted evaluation goes on from what is there", "evals/eval"),
});

type Settings = z.output<typeof schema>;

export const evalCommand: Command = {
  name: "eval",
  description: "Evaluates a model on benchmarks: greedy, mean, pass@k, majority vote and Best-of-N by a PRM, with intervals and curves over N.",
  flags: flagsOf(schema, "Options", "", {}),
  run: evaluate,
};

// --- internal ---

async function evaluate(options: Options): Promise<number> {
  const settings = parseOptions(schema, options as never, "evaluation");
  if (settings.model === "") throw new PrimekitError("ERR_CONFIG", `eval needs --model: ${schema.shape.model.description}.`);
  if (settings.threads > 0) native().setThreads(settings.threads);
  const found = await findAll(settings);
  const newTokens = settings.maxNewTokens || Math.max(...found.map(([name]) => benchmarks[name].maxNewTokens));
  const models = await openModels(settings, newTokens);
  const verifier = await makeVerifier(settings.verifier);
  const interrupt = listenForInterrupt((line) => void process.stderr.write(`\n${line}\n`));
  try {
    const results: BenchmarkResult[] = [];
    for (const [name, source] of found) results.push(await evaluateOne(name, source, settings, models, verifier, interrupt));
    await writeReport(settings, results);
    return 0;
  } catch (error) {
    const code = interrupt.exitCodeFor(error);
    process.stderr.write("Stopped; the same command goes on from here.\n");
    return code;
  } finally {
    interrupt.dispose();
    models.close();
    await verifier.close?.();
  }
}

/** The benchmarks asked for and their files; everything missing is said at once. */
async function findAll({ benchmarks: asked, data }: Settings): Promise<[BenchmarkName, string][]> {
  const names = asked === "" ? NAMES : asked.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !(name in benchmarks));
  if (unknown !== undefined)
    throw new PrimekitError("ERR_CONFIG", `There is no benchmark ${JSON.stringify(unknown)}.${didYouMean(unknown, NAMES)} There are ${NAMES.join(", ")}.`);
  const found: [BenchmarkName, string][] = [];
  const missing: string[] = [];
  for (const name of names as BenchmarkName[]) {
    const source = data === "" ? await fromHub(name) : await findBenchmark(name, data);
    if (source === undefined) missing.push(name);
    else found.push([name, source]);
  }
  if (found.length === 0 || (asked !== "" && missing.length > 0))
    throw new PrimekitError("ERR_CONFIG", `The folder ${data} holds no file of ${missing.join(", ")}.`);
  return found;
}

async function fromHub(name: BenchmarkName): Promise<string> {
  const progress = createDownloadProgress(process.stderr);
  return resolveDataset(benchmarks[name].hub, progress).finally(progress.stop);
}

interface Models {
  dir: string;
  modelId: string;
  tokenizer: Tokenizer;
  policy: (promptTokens: number) => Promise<Model>;
  prm?: { open: (promptTokens: number) => Promise<{ prm: Model; reference: Model }>; id: string; dir: string; reference: string };
  close(): void;
}

/** Tokenizer and identities now; weights when something has to be computed, if all the models fit. */
async function openModels(settings: Settings, newTokens: number): Promise<Models> {
  const { model, prm, reference, device, dtype } = settings;
  const progress = createDownloadProgress(process.stderr);
  const find = (name: string) => resolveModel(name, progress);
  const dir = await find(model).finally(progress.stop);
  const tokenizer = await Tokenizer.load(dir);
  const opened = new Map<string, Promise<Model>>();
  const open = (path: string) => {
    const loading = opened.get(path) ?? Model.load(path, { device, dtype, trainable: false });
    opened.set(path, loading);
    return loading;
  };
  const close = () => {
    for (const loading of opened.values()) loading.then((loaded) => loaded.close()).catch(() => undefined); // whoever asked for it was told
  };
  const openFor = async (path: string, promptTokens: number, dirs: JudgeDirs) => {
    if (opened.size === 0) await requireRoom(settings, { promptTokens, newTokens }, dir, dirs);
    return open(path);
  };
  const models: Models = { dir, modelId: await modelIdentity(dir), tokenizer, policy: (tokens) => openFor(dir, tokens, undefined), close };
  if (prm === "") return models;
  const prmDir = await find(prm).finally(progress.stop);
  const referenceDir = reference === "" ? dir : await find(reference).finally(progress.stop);
  for (const other of [prmDir, referenceDir]) await sameTokenizer(tokenizer, dir, other);
  const id = `${await modelIdentity(prmDir)} ${await modelIdentity(referenceDir)}`;
  const dirs = { prm: prmDir, reference: referenceDir };
  const openBoth = async (tokens: number) => ({ prm: await openFor(prmDir, tokens, dirs), reference: await openFor(referenceDir, tokens, dirs) });
  return { ...models, policy: (tokens) => openFor(dir, tokens, dirs), prm: { open: openBoth, id, dir: prmDir, reference: referenceDir } };
}

type JudgeDirs = { prm: string; reference: string } | undefined;

async function requireRoom(settings: Settings, lengths: { promptTokens: number; newTokens: number }, dir: string, judges: JudgeDirs): Promise<void> {
  const { device, dtype, slots, maxTokensPerBatch } = settings;
  const reference = judges && judges.reference !== dir ? await modelConfigIn(judges.reference) : undefined;
  const shapes = judges && { prm: await modelConfigIn(judges.prm), reference };
  const sizes = { answers: Number.POSITIVE_INFINITY, ...lengths }; // more than are written or scored at once
  requireMemory(writingWork({ device, dtype, slots, ...(judges && { maxTokensPerBatch }) }, await modelConfigIn(dir), sizes, shapes));
}

async function evaluateOne(
  name: BenchmarkName,
  source: string,
  settings: Settings,
  models: Models,
  verifier: Awaited<ReturnType<typeof makeVerifier>>,
  { signal }: Interrupt,
): Promise<BenchmarkResult> {
  const { title, maxNewTokens } = benchmarks[name];
  const { samples, temperature, topP, seed, slots, limit, promptStyle, chatTemplate, beta, maxTokensPerBatch, out, dtype } = settings;
  const rows = (await readBenchmark(name, source, { signal })).slice(0, limit || undefined);
  let said = 0;
  const onProgress = (phase: "answers" | "rewards", done: number, total: number) => {
    const isTerminal = process.stderr.isTTY === true;
    if (!isTerminal && done < total && Date.now() - said < 5000) return;
    said = Date.now();
    process.stderr.write(`${isTerminal ? "\r" : ""}${title}: ${done} of ${total} ${phase}${isTerminal && done < total ? "" : "\n"}`);
  };
  return evaluateBenchmark({
    name,
    title,
    rows,
    openModel: models.policy,
    modelId: `${models.modelId} ${dtype}`,
    tokenizer: models.tokenizer,
    verifier,
    sampling: { samples, temperature, topP, seed, slots, maxNewTokens: settings.maxNewTokens || maxNewTokens },
    promptStyle,
    chatTemplate,
    prm: models.prm && { open: models.prm.open, id: models.prm.id, beta, maxTokensPerBatch },
    dir: out,
    onProgress,
    signal,
  });
}

async function writeReport(settings: Settings, results: BenchmarkResult[]): Promise<void> {
  const { out, model, prm, reference } = settings;
  await mkdir(out, { recursive: true });
  const { samples, temperature, topP, maxNewTokens, seed, promptStyle, dtype, beta } = settings;
  const shown = { samples, temperature, topP, maxNewTokens: maxNewTokens || "by benchmark", seed, promptStyle, dtype, ...(prm ? { beta } : {}) };
  const report: EvalReport = { version: 1, model, ...(prm ? { prm, reference: reference || model } : {}), settings: shown, results };
  const plots: Record<string, string> = {};
  for (const result of results.filter(({ curve }) => curve.length > 1)) {
    const lines = linesOf(result);
    const svg = renderSvg(result.title, lines);
    plots[result.name] = `${result.name}.svg`;
    await writeFileAtomic(join(out, `${result.name}.svg`), svg);
    await writePng(join(out, `${result.name}.png`), svg);
    process.stdout.write(`\n${result.title}, N = ${result.curve.map(({ n }) => n).join(", ")}\n${renderBars(lines)}\n`);
  }
  await writeFileAtomic(join(out, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  await writeFileAtomic(join(out, "report.md"), renderMarkdown(report, plots));
  process.stdout.write(
    `\n${table([["%, 95 % interval", ...results.map(({ title }) => title)], ...summaryRows(results)])}\n\nWritten: ${join(out, "report.md")}\n`,
  );
}

async function writePng(file: string, svg: string): Promise<void> {
  const resvg = await import("@resvg/resvg-js").catch(() => undefined); // an optional package: without it there are the SVG pictures
  if (resvg) await writeFileAtomic(file, new resvg.Resvg(svg, { font: { loadSystemFonts: true }, fitTo: { mode: "zoom", value: 2 } }).render().asPng());
}
