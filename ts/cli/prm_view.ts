// `primekit prm view runs/NAME`: the answers of a training run, judged by its PRM, as an HTML report.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import type { PrmExample } from "../data/prm/example.ts";
import { readPrmExamples } from "../data/prm/read.ts";
import { PrimekitError } from "../errors.ts";
import { renderReport } from "../eval/report/page.ts";
import { findNewest } from "../run/checkpoints.ts";
import { writeFileAtomic } from "../run/io.ts";
import { RunFolder } from "../run/run_folder.ts";
import { parseOptions } from "../train/config.ts";
import type { Command } from "./command.ts";
import { flagsOf, type Options } from "./flags.ts";
import { judgeSchema, judgeWith, printAnswers } from "./prm_score.ts";

const viewSchema = z.strictObject({
  run: z.string().default("").describe("folder of the run (also without --run: primekit prm view runs/NAME)"),
  step: z.number().int().min(0).default(0).describe("rollouts of this step; 0 = the newest that were kept"),
  html: z.string().default("").describe("where the report goes; RUN/report.html unless given"),
  ...judgeSchema.omit({ beta: true }).shape,
  limit: z.number().int().min(0).default(1000).describe("judge the first so many answers; 0 = all"),
});

type ViewSettings = z.output<typeof viewSchema>;

export const prmViewCommand: Command = {
  name: "prm view",
  description: "Shows a training run's answers with the rewards its PRM gives to every token and step, as one HTML page.",
  flags: flagsOf(viewSchema, "Options", "", {}),
  argument: "run",
  run: (options) => view(options),
};

// --- internal ---

interface RunView {
  phi: string;
  ref: string;
  beta: number;
  source: string; // file of the answers
  facts: [string, string][];
}

async function view(options: Options): Promise<number> {
  const settings = parseOptions(viewSchema, options as never, "view");
  if (settings.run === "") throw new PrimekitError("ERR_CONFIG", "prm view needs a run's folder: primekit prm view runs/NAME.");
  const dir = resolve(settings.run);
  const config = await RunFolder.readConfig(dir);
  const { phi, ref, beta, source, facts } = config.kind === "prm" ? await prmRun(dir, config) : await primeRun(dir, config, settings);
  const examples: PrmExample[] = [];
  const separator = String(config.place?.separator ?? "\n\n").replaceAll("\\n", "\n");
  const reading = config.kind === "prm" ? { mapping: config.place.mapping, split: config.place.split, separator } : { split: settings.split };
  for await (const example of readPrmExamples(source, reading)) {
    if (settings.limit > 0 && examples.length === settings.limit) break;
    examples.push(example);
  }
  const answers = await judgeWith({ phi, ref, examples, settings: { ...settings, beta } });
  const html = settings.html || join(dir, "report.html");
  await writeFileAtomic(
    html,
    renderReport(answers, { title: `Process rewards: ${settings.run.replace(/\/+$/, "").split("/").at(-1)}`, facts: [...facts, ["beta", String(beta)]] }),
  );
  printAnswers(answers, settings.show);
  process.stdout.write(`Written: ${html}\n`);
  return 0;
}

interface PrimeRunConfig {
  model?: { source?: string };
  resolved?: { model?: string };
  prime?: { prmBeta: number; reference: string };
}

/** A PRIME run: its rollouts, judged by the PRM and the reference of its newest checkpoint. */
async function primeRun(dir: string, config: PrimeRunConfig, { step }: ViewSettings): Promise<RunView> {
  const newest = await findNewest(join(dir, "checkpoints"));
  if (!newest || !config.prime || !existsSync(join(newest.dir, "prm")))
    throw new PrimekitError(
      "ERR_CONFIG",
      `The run ${dir} has no checkpoint with a PRM (only PRIME and PRM runs train one), so there is nothing to judge its answers with.`,
    );
  const ownStart = async () => {
    const sft = await findNewest(join(dir, "sft", "checkpoints"));
    if (!sft) throw new PrimekitError("ERR_CHECKPOINT", `The run ${dir} lacks sft/checkpoints, which holds the PRM's reference.`);
    return join(sft.dir, "policy");
  };
  // the model it began with: given, or fine-tuned in the run itself
  const start = config.resolved?.model ?? (config.model?.source || (await ownStart()));
  const ref = config.prime.reference === "policy" ? join(newest.dir, "policy") : start;
  const source = await rolloutFile(dir, step);
  const facts: [string, string][] = [
    ["answers", source.slice(dir.length + 1)],
    ["PRM and reference", `of step ${newest.step}${config.prime.reference === "policy" ? " (the reference is the policy there)" : ""}`],
  ];
  return { phi: join(newest.dir, "prm"), ref, beta: config.prime.prmBeta, source, facts };
}

/** A run of `prm train`: its data, judged by its newest checkpoint. */
async function prmRun(dir: string, { place, prm }: { place: { model: string; ref: string; data: string }; prm: { beta: number } }): Promise<RunView> {
  const newest = await findNewest(join(dir, "checkpoints"));
  if (!newest) throw new PrimekitError("ERR_CHECKPOINT", `The run ${dir} has no checkpoint yet.`);
  const source = place.data.split(",")[0].trim();
  return {
    phi: join(newest.dir, "prm"),
    ref: place.ref || place.model,
    beta: prm.beta,
    source,
    facts: [
      ["answers", source],
      ["PRM", `of step ${newest.step}`],
    ],
  };
}

async function rolloutFile(dir: string, step: number): Promise<string> {
  const files = (await readdir(join(dir, "rollouts")).catch(() => [] as string[])).filter((name) => name.endsWith(".jsonl")).sort(); // no folder: no rollouts
  const wanted = step === 0 ? files.at(-1) : files.find((name) => Number(/\d+/.exec(name)?.[0]) === step);
  if (wanted) return join(dir, "rollouts", wanted);
  const kept = files.map((name) => Number(/\d+/.exec(name)?.[0])).join(", ");
  throw new PrimekitError(
    "ERR_CONFIG",
    `The run ${dir} kept no rollouts${step === 0 ? "" : ` of step ${step}`}${kept ? `; there are those of step ${kept}` : " (see --rolloutsEvery)"}.`,
  );
}
