// PRIME on a pretrained model (stories260K, 0.26 M weights) with a rule-based outcome: tell a story about the thing that was asked for, and end it.
//   bun test/bench/stories.ts [FOLDER [RUN]]   runs what FOLDER (default runs/stories) does not hold yet, or RUN (prime-1, …) alone;
//                                              then renews results/stories.md, once all runs are there
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { measureAccuracy } from "../../ts/eval/accuracy.ts";
import { Model } from "../../ts/model.ts";
import { packRows } from "../../ts/rollout/pack.ts";
import { sampleGroups } from "../../ts/rollout/sample.ts";
import type { Group } from "../../ts/rollout/types.ts";
import { RunFolder } from "../../ts/run/run_folder.ts";
import type { PrimeConfigInput } from "../../ts/train/config.ts";
import { runPrime } from "../../ts/train/prime.ts";
import { RESULTS } from "./harness.ts";
import { machine } from "./measure.ts";
import { STORIES_MODEL as MODEL, storiesTask } from "./stories_task.ts";

const ROOT = join(import.meta.dirname, "../..");
const RUNS: { algo: "prime" | "rloo"; seed: number }[] = [
  { algo: "prime", seed: 1 },
  { algo: "prime", seed: 2 },
  { algo: "prime", seed: 3 },
  { algo: "rloo", seed: 1 },
];
const SETTINGS = {
  steps: 30,
  promptsPerStep: 12,
  samplesPerPrompt: 4,
  maxNewTokens: 384,
  lr: 4e-4,
  klCoef: 0.05, // without it the language goes to pieces (see the notes in results/stories.md)
  prmData: "kept",
  prmBeta: 0.5,
  prmLr: 2e-4,
  prmMinibatches: 2,
  prmWarmupSteps: 2,
  gammaProcess: 0.95, // credit for about twenty tokens: sums over a whole story hang on its length above all
  processWeight: "accuracy",
  normalizeProcess: "batch",
  sampleAnswers: 0,
  evalProblems: 1, // measured here, before and after
  saveEvery: 0,
} as const satisfies PrimeConfigInput;

/** What a policy does with the held-out prompts, 4 samples each at temperature 1. */
interface Measured {
  success: number;
  greedy: number;
  faults: Record<string, number>; // reason -> share of the samples
  length: number; // tokens
  mentions: number; // of the thing, per story that is right
  surprise: number; // nats per token under the pretrained model: how far the stories are from what it would have written
  stories: string[];
}

interface Result {
  algo: string;
  seed: number;
  before: Measured;
  after: Measured;
  curve: number[]; // success of the rollouts, by step
  pairAccuracy: number | undefined;
  seconds: number; // of training, by the clock
  cpuSeconds: number; // the same, of all threads together
}

const folder = resolve(process.argv[2] ?? join(ROOT, "runs", "stories"));
if (!existsSync(MODEL)) {
  console.log("skipped: ../shared/models/stories260K is not here.");
} else {
  const only = process.argv[3];
  for (const run of RUNS) if (only === undefined || only === nameOf(run)) await complete(run);
  const results = RUNS.map(nameOf).map((name) => join(folder, name, "result.json"));
  if (results.every((file) => existsSync(file)))
    writeFileSync(join(RESULTS, "stories.md"), page(results.map((file) => JSON.parse(readFileSync(file, "utf8")))));
}

function nameOf({ algo, seed }: (typeof RUNS)[number]): string {
  return `${algo}-${seed}`;
}

async function complete({ algo, seed }: (typeof RUNS)[number]): Promise<void> {
  const name = nameOf({ algo, seed });
  const file = join(folder, name, "result.json");
  if (existsSync(file)) return;
  await rm(join(folder, name), { recursive: true, force: true });
  const config: PrimeConfigInput = { ...SETTINGS, algo, seed };
  const task = storiesTask(MODEL, seed);
  using policy = await Model.load(MODEL, { dtype: "float32", trainable: true });
  const run = await RunFolder.create(folder, name, config);
  try {
    const [began, cpu] = [performance.now(), process.cpuUsage()];
    const { history, pairAccuracy } = await runPrime({
      config,
      task,
      policy,
      run,
      onEvent: (event) => event.type === "step" && console.log(`${name} ${event.step}/${event.steps}: ${percent(event.metrics["rollout/accuracy"] ?? 0)}`),
    });
    const seconds = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const curve = history.flatMap(({ accuracy }) => (accuracy === undefined ? [] : [accuracy]));
    const result: Result = {
      algo,
      seed,
      before: await beforeTraining(),
      after: await measure(policy),
      curve,
      pairAccuracy,
      seconds,
      cpuSeconds: (user + system) / 1e6,
    };
    writeFileSync(file, JSON.stringify(result, null, 1));
  } finally {
    await run.close();
  }
}

/** The same for all runs, so it is measured once. */
async function beforeTraining(): Promise<Measured> {
  const file = join(folder, "before.json");
  if (!existsSync(file)) {
    using pretrained = await Model.load(MODEL, { dtype: "float32", trainable: false });
    writeFileSync(file, JSON.stringify(await measure(pretrained)));
  }
  return JSON.parse(readFileSync(file, "utf8"));
}

async function measure(policy: Model): Promise<Measured> {
  const task = storiesTask(MODEL, 0);
  const { maxNewTokens } = SETTINGS;
  const problems = task.heldOut.map((problem, position) => ({ position, problem }));
  const groups = await sampleGroups(policy, task, problems, { samples: 4, maxNewTokens, temperature: 1, seed: 12345, firstSequence: 0n });
  const greedy = await measureAccuracy(policy, task, task.heldOut, { maxNewTokens });
  const samples = groups.flatMap((group) => group.samples.map((sample) => ({ ...sample, word: group.problem.answer })));
  const right = samples.filter(({ verdict }) => verdict.outcome === "correct");
  const faults: Record<string, number> = {};
  for (const { verdict } of samples) {
    const reason = verdict.reason.replace(/(mentions?) the \w+( \d+ times)?\.$/, (_, verb, times) => `${verb} it${times ? " too often" : ""}.`);
    if (verdict.outcome !== "correct") faults[reason] = (faults[reason] ?? 0) + 1 / samples.length;
  }
  return {
    success: right.length / samples.length,
    greedy: greedy.accuracy,
    faults,
    length: mean(samples.map(({ tokens }) => tokens.length)),
    mentions: mean(right.map(({ text, word }) => text.match(new RegExp(`\\b${word}s?\\b`, "gi"))?.length ?? 0)),
    surprise: await surpriseOf(groups),
    stories: groups.slice(0, 12).map(({ problem, samples: [first] }) => `${problem.prompt.slice(3)} | ${first.text.trim().replaceAll(/\s+/g, " ")}`),
  };
}

/** The pretrained model's mean negative log-probability of the sampled tokens. */
async function surpriseOf(groups: readonly Group[]): Promise<number> {
  using pretrained = await Model.load(MODEL, { dtype: "float32", trainable: false });
  const means: number[] = [];
  let tokens = 0;
  for (const { prompt, samples } of groups) {
    const { logprobs } = await pretrained.logprobs(packRows(samples.map((sample) => ({ prompt, response: sample.tokens }))));
    means.push(-logprobs.reduce((sum, x) => sum + x, 0));
    tokens += logprobs.length;
  }
  return means.reduce((sum, x) => sum + x, 0) / tokens;
}

function page(results: readonly Result[]): string {
  const setting = Object.entries(machine()).map(([key, value]) => `${key} ${value}`);
  const points = [1, 5, 10, 20, 30];
  const around = (curve: readonly number[], step: number) => mean(curve.slice(Math.max(0, step - 3), step + 2));
  const [first] = results;
  return [
    "# PRIME on a pretrained model: stories260K",
    "",
    "Made by `bun test/bench/stories.ts`; the task is in [stories_task.ts](../stories_task.ts). A story is right when it ends by itself with a full sentence,",
    "names the thing asked for one to four times, has five sentences or more, and repeats none. The held-out prompts ask for twelve things that training",
    `never asks for. ${setting.join(", ")}; OMP_NUM_THREADS ${process.env.OMP_NUM_THREADS ?? "not set"}.`,
    "",
    `Settings: \`${JSON.stringify(SETTINGS)}\``,
    "",
    "Held-out success (48 prompts, 4 samples each, temperature 1; greedy in brackets), before and after:",
    "",
    table(
      ["run", "before", "after", "minutes (of CPU)", "tokens per story", "mentions per right story", "nats per token under the pretrained model"],
      results.map(({ algo, seed, before, after, seconds, cpuSeconds }) => [
        `${algo}, seed ${seed}`,
        `${percent(before.success)} (${percent(before.greedy)})`,
        `${percent(after.success)} (${percent(after.greedy)})`,
        `${(seconds / 60).toFixed(1)} (${(cpuSeconds / 60).toFixed(1)})`,
        `${before.length.toFixed(0)} → ${after.length.toFixed(0)}`,
        `${before.mentions.toFixed(1)} → ${after.mentions.toFixed(1)}`,
        `${before.surprise.toFixed(2)} → ${after.surprise.toFixed(2)}`,
      ]),
    ),
    "Success of the rollouts (training prompts, before filtering), mean of the five steps around:",
    "",
    table(
      ["run", ...points.map((step) => `step ${step}`), "PRM: right of a pair scores higher"],
      results.map(({ algo, seed, curve, pairAccuracy }) => [
        `${algo}, seed ${seed}`,
        ...points.map((step) => percent(around(curve, step))),
        pairAccuracy === undefined ? "–" : percent(pairAccuracy),
      ]),
    ),
    "What is wrong with the wrong ones, share of all held-out samples before → after:",
    "",
    ...results.map(({ algo, seed, before, after }) => {
      const reasons = [...new Set([...Object.keys(before.faults), ...Object.keys(after.faults)])];
      const shares = reasons.map((reason) => `${reason.replace(/\.$/, "")} ${percent(before.faults[reason] ?? 0)} → ${percent(after.faults[reason] ?? 0)}`);
      return `- ${algo}, seed ${seed}: ${shares.join("; ")}`;
    }),
    "",
    `Samples (${first.algo}, seed ${first.seed}; the first of every prompt, not chosen), before:`,
    "",
    ...first.before.stories.slice(0, 4).map((story) => `> ${story}\n`),
    "and after:",
    "",
    ...first.after.stories.slice(0, 6).map((story) => `> ${story}\n`),
    readNotes(),
  ].join("\n");
}

function table(head: string[], rows: string[][]): string {
  return `${[head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, x) => sum + x, 0) / values.length;
}

/** What was written by hand stands below the figures and is kept. */
function readNotes(): string {
  const file = join(RESULTS, "stories.md");
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const at = text.indexOf("## ");
  return at < 0 ? "" : text.slice(at);
}
