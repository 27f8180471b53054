// `primekit prm score`: process rewards of given answers, as text, JSON lines and an HTML report.
import { z } from "zod";
import { scoreQuality } from "../algo/prm_metrics.ts";
import { promptFormats } from "../data/prm/encode.ts";
import { type PrmExample, splitRules } from "../data/prm/example.ts";
import { prmMappings } from "../data/prm/mappings.ts";
import { readPrmExamples } from "../data/prm/read.ts";
import { PrimekitError } from "../errors.ts";
import { modelIdentity } from "../eval/logprob_cache.ts";
import { judgeAnswers, type ScoredAnswer } from "../eval/process.ts";
import { renderReport } from "../eval/report/page.ts";
import { renderAnswerText } from "../eval/report/text.ts";
import { Model } from "../model.ts";
import { native } from "../native/addon.ts";
import { writeFileAtomic } from "../run/io.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { parseOptions } from "../train/config.ts";
import type { Command } from "./command.ts";
import { scoringWork } from "./command_plans.ts";
import { flagsOf, type Options } from "./flags.ts";
import { percent, table } from "./format.ts";
import { deviceSchema } from "./job_schemas.ts";
import { modelConfigIn, requireMemory } from "./memory_plan.ts";
import { locate, sameTokenizer } from "./prm_models.ts";
import { withModels } from "./with_models.ts";

const names = <K extends string>(table: Record<K, unknown>) => Object.keys(table) as [K, ...K[]];
const text = (description: string) => z.string().default("").describe(description);

/** How answers are read, judged and shown; `prm view` has these too. */
export const judgeSchema = z.strictObject({
  beta: z.number().min(0).default(0.05).describe("scale of the log-ratio"),
  split: z
    .enum(names(splitRules))
    .default("auto")
    .describe("how answers without steps are cut: at blank lines, at line ends, at neither, or (auto) at blank lines if there are any"),
  promptFormat: z.enum(promptFormats).default("auto").describe("a prompt that is a text: taken as it is, as a user's message, or as it looks"),
  maxLength: z.number().int().min(2).default(4096).describe("longest prompt and answer, in tokens"),
  truncate: z.boolean().default(false).describe("cut over-long answers instead of refusing them"),
  limit: z.number().int().min(0).default(0).describe("judge the first so many answers; 0 = all"),
  show: z.number().int().min(0).default(5).describe("answers to print"),
  device: deviceSchema,
  dtype: z.enum(["float32", "bfloat16"]).default("bfloat16").describe("what matrix products are computed in"),
  maxTokensPerBatch: z.number().int().min(1).default(8192).describe("tokens in one forward pass"),
  cache: z.string().default("").describe("keep the models' log-probs in this folder: an interrupted call goes on where it was"),
  threads: z.number().int().min(0).default(0).describe("threads of native work; 0 = one per core"),
});

const scoreSchema = z.strictObject({
  phi: text("the PRM (with its tokenizer): a Hugging Face directory or an id on the hub (ORG/NAME)"),
  ref: text("its reference, likewise; the same tokenizer"),
  in: text("answers: a .jsonl, .json, .csv or .parquet file, a directory of them (a run's rollouts too) or a dataset on the hub; several with commas between"),
  question: text("instead of --in: one question"),
  response: text("and its answer"),
  steps: text("the answer's steps, a JSON list of texts, instead of the answer or beside it"),
  mapping: z.enum(names(prmMappings)).default("auto").describe("format of the answers"),
  separator: z.string().default("\\n\\n").describe("put between steps that come without one (\\n is a line end)"),
  out: text("write JSON lines: per answer its score, per step reward and running Q"),
  tokens: z.boolean().default(false).describe("with the reward of every token in --out"),
  html: text("write a report: one page with every token coloured by its reward"),
  ...judgeSchema.shape,
});

export type JudgeSettings = z.output<typeof judgeSchema>;

export const prmScoreCommand: Command = {
  name: "prm score",
  description: "Scores answers with an implicit PRM and its reference: a reward for every step and token, as text, JSON lines and an HTML report.",
  flags: flagsOf(scoreSchema, "Options", "", {}),
  run: (options) => score(options),
};

export interface JudgeJob {
  phi: string;
  ref: string;
  examples: readonly PrmExample[];
  settings: JudgeSettings;
}

/** Loads both models and judges the examples, with progress. Interrupted with a cache, it loses one block at most. */
export async function judgeWith({ examples, settings, ...models }: JudgeJob): Promise<ScoredAnswer[]> {
  const [phi, ref] = [await locate("model", models.phi), await locate("model", models.ref)];
  if (settings.threads > 0) native().setThreads(settings.threads);
  const tokenizer = await Tokenizer.load(phi);
  await sameTokenizer(tokenizer, phi, ref);
  const { device, dtype, maxTokensPerBatch } = settings;
  const sizes = { rows: examples.length, longest: longestRow(examples, settings.maxLength) };
  requireMemory(scoringWork({ device, dtype, maxTokensPerBatch }, await modelConfigIn(phi), await modelConfigIn(ref), sizes));
  const onProgress = (done: number, total: number) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${Math.floor((100 * done) / total)} % judged${done === total ? "\n" : ""}`);
  };
  const onWarning = (message: string) => void process.stderr.write(`${message}\n`);
  const cacheOf = async (model: string) => ({ dir: settings.cache, modelId: await modelIdentity(model) });
  const caches = settings.cache ? { prm: await cacheOf(phi), reference: await cacheOf(ref) } : undefined;
  const loads = [phi, ref].map((dir) => () => Model.load(dir, { device, dtype, trainable: false }));
  return withModels(loads, (prm, reference) =>
    judgeAnswers({ prm, reference }, tokenizer, examples, { ...settings, tokens: true, caches, onProgress, onWarning }),
  );
}

/** The first `show` answers as text, and how the scores agree with the labels where there are some. */
export function printAnswers(answers: readonly ScoredAnswer[], show: number): void {
  const options = { width: process.stdout.columns ?? 100, colour: process.stdout.isTTY === true && !process.env.NO_COLOR };
  for (const answer of answers.slice(0, show)) process.stdout.write(`${renderAnswerText(answer, options)}\n\n`);
  const labelled = answers.filter((answer) => answer.label !== undefined);
  const quality = scoreQuality(
    labelled.map((answer) => answer.score),
    labelled.map((answer) => answer.label as number),
  );
  const rows = [["answers", String(answers.length)]];
  if (labelled.length > 0) rows.push(["right, by their labels", percent(labelled.filter((answer) => (answer.label as number) > 0.5).length / labelled.length)]);
  if (quality.auc !== undefined) rows.push(["AUC of the scores", percent(quality.auc)], ["calibration error", percent(quality.calibration)]);
  process.stdout.write(`${table(rows)}\n`);
}

// --- internal ---

async function score(options: Options): Promise<number> {
  const settings = parseOptions(scoreSchema, options as never, "scoring");
  for (const name of ["phi", "ref"] as const) {
    if (settings[name] === "") throw new PrimekitError("ERR_CONFIG", `prm score needs --${name}: ${scoreSchema.shape[name].description}.`);
  }
  const { phi, ref, out, html, beta } = settings;
  const examples = await readExamples(settings);
  const answers = await judgeWith({ phi, ref, examples, settings });
  if (out) await writeFileAtomic(out, answers.map((answer) => `${JSON.stringify(settings.tokens ? answer : withoutTokens(answer))}\n`).join(""));
  const facts = [
    ["PRM", phi],
    ["reference", ref],
    ["beta", String(beta)],
  ] as const;
  if (html) await writeFileAtomic(html, renderReport(answers, { title: "Process rewards", facts }));
  printAnswers(answers, settings.show);
  for (const file of [out, html].filter(Boolean)) process.stdout.write(`Written: ${file}\n`);
  return 0;
}

/** Tokens of the longest prompt and answer, at most: a token has a byte or more, and the marks of a chat are few. */
function longestRow(examples: readonly PrmExample[], maxLength: number): number {
  const sizes = examples.map(({ prompt, steps }) => Buffer.byteLength(JSON.stringify([prompt, steps])) + 64);
  return Math.min(
    maxLength,
    sizes.reduce((most, size) => Math.max(most, size), 0),
  );
}

async function readExamples(settings: z.output<typeof scoreSchema>): Promise<PrmExample[]> {
  const { question, response, steps, mapping, split, limit } = settings;
  if ((settings.in === "") === (question === "" || (response === "" && steps === "")))
    throw new PrimekitError("ERR_CONFIG", "prm score needs either --in, or --question and --response (or --steps).");
  const options = { mapping, split, separator: settings.separator.replaceAll("\\n", "\n") };
  if (settings.in === "") {
    const given = { id: "answer", question, ...(response && { response }), ...(steps && { steps: parseSteps(steps) }) };
    return prmMappings.plain(given, "The answer", options);
  }
  const examples: PrmExample[] = [];
  for (const source of settings.in.split(",")) {
    for await (const example of readPrmExamples(await locate("data", source.trim()), options)) {
      if (limit > 0 && examples.length === limit) return examples;
      examples.push(example);
    }
  }
  return examples;
}

function parseSteps(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new PrimekitError("ERR_CONFIG", `--steps must be a JSON list of texts: ${(cause as Error).message}.`, { cause });
  }
}

function withoutTokens(answer: ScoredAnswer): ScoredAnswer {
  return { ...answer, steps: answer.steps.map(({ tokens: _, ...step }) => step) };
}
