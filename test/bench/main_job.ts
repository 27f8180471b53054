// PRIME beside outcome-only RLOO on the main job: three seeds each, the same settings and number of rollout steps.
//   bun test/bench/main_job.ts [FOLDER]   runs what FOLDER (default runs/main_job) does not hold yet, then renews results/main_job.md
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { RESULTS } from "./harness.ts";
import { machine } from "./measure.ts";

const SEEDS = [1, 2, 3];
const ALGORITHMS = ["prime", "rloo"] as const;
const POINTS = [1, 5, 10, 20, 30, 40];
const ROOT = join(import.meta.dirname, "../..");
const folder = resolve(process.argv[2] ?? join(ROOT, "runs", "main_job"));

type Row = Record<string, number>;

for (const seed of SEEDS) {
  for (const algorithm of ALGORITHMS) {
    const name = `${algorithm}-${seed}`;
    if (existsSync(join(folder, name, "checkpoints", "step-000040", "manifest.json"))) continue;
    const started = existsSync(join(folder, name, "config.json"));
    const options = started ? ["--resume", name] : ["--run", name, "--seed", String(seed), "--algo", algorithm];
    const { status } = spawnSync(process.execPath, ["run", "train.ts", "--runs", folder, ...options], { cwd: ROOT, stdio: "inherit" });
    if (status !== 0) throw new Error(`The run ${name} ended with status ${status}.`);
  }
}
writeFileSync(join(RESULTS, "main_job.md"), page());

function page(): string {
  const runs = ALGORITHMS.flatMap((algorithm) => SEEDS.map((seed) => ({ algorithm, seed, rows: read(`${algorithm}-${seed}`) })));
  const setting = Object.entries(machine()).map(([key, value]) => `${key} ${Array.isArray(value) ? value.join(" ") : value}`);
  return [
    "# The main job: PRIME beside outcome-only RLOO",
    "",
    "Made by `bun test/bench/main_job.ts`. Default settings of `bun run train.ts`; RLOO is the same with `--algo rloo`.",
    `${setting.join(", ")}.`,
    "",
    "Held-out accuracy (256 problems, greedy), by rollout step:",
    "",
    table(
      ["run", ...[0, 10, 20, 30, 40].map((step) => `step ${step}`)],
      runs.map(({ algorithm, seed, rows }) => [`${algorithm}, seed ${seed}`, ...[0, 10, 20, 30, 40].map((step) => percent(find(rows, step, "eval/accuracy")))]),
    ),
    "Accuracy of the rollouts (sampled at temperature 1, before filtering), by rollout step:",
    "",
    table(
      ["run", ...POINTS.map((step) => `step ${step}`)],
      runs.map(({ algorithm, seed, rows }) => [`${algorithm}, seed ${seed}`, ...POINTS.map((step) => percent(find(rows, step, "rollout/accuracy")))]),
    ),
    "The PRM: how often the right answer of a right-wrong pair in a group scores higher (before it has seen the step's outcomes), and how often the right",
    "step of a right-wrong pair in an answer has the higher reward. Chance is 50 % for both; step labels are never trained on:",
    "",
    table(
      ["run", ...POINTS.map((step) => `step ${step}`)],
      runs
        .filter(({ algorithm }) => algorithm === "prime")
        .map(({ algorithm, seed, rows }) => [
          `${algorithm}, seed ${seed}`,
          ...POINTS.map((step) => `${percent(find(rows, step, "prm/pairAccuracy"))}, ${percent(find(rows, step, "prm/stepAccuracy"))}`),
        ]),
    ),
    readNotes(),
  ].join("\n");
}

function read(name: string): Row[] {
  const text = readFileSync(join(folder, name, "metrics.jsonl"), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);
}

function find(rows: Row[], step: number, key: string): number | undefined {
  return rows.find((row) => row.step === step && key in row)?.[key];
}

function percent(x: number | undefined): string {
  return x === undefined ? "–" : `${(100 * x).toFixed(1)} %`;
}

function table(head: string[], rows: string[][]): string {
  return `${[head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

/** What was tried by hand stands below the figures and is kept. */
function readNotes(): string {
  const file = join(RESULTS, "main_job.md");
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const at = text.indexOf("## ");
  return at < 0 ? "" : text.slice(at);
}
