// The results of both parts as Markdown, with 95 % intervals from 2,000 bootstrap samples of problems.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { bootstrap, type Estimator } from "../../../ts/eval/pick/interval.ts";
import { RESULTS } from "../harness.ts";
import type { Results } from "../localisation.ts";
import { machine } from "../measure.ts";
import { FIXED, PICK, PICK_SETTINGS, type PickSetting, type Picks } from "./best_of_n.ts";
import { type Found, LOCALISE, type Score } from "./localise.ts";

const RESAMPLES = 2000;
const estimators = new Map<number, Estimator>(); // by number of problems

export function page({ found, picks }: Results): string {
  const setting = Object.entries(machine()).map(([key, value]) => `${key} ${Array.isArray(value) ? value.join(" ") : value}`);
  return [
    "# Does a PRM that saw outcomes alone find the wrong step?",
    "",
    `Made by \`bun test/bench/localisation.ts\`. ${setting.join(", ")}.`,
    "",
    "## The wrong step",
    "",
    "Sums of 5 to 8 numbers, worked in 4 to 7 steps and a boxed answer. A model of 0.1 M weights is fine-tuned on demonstrations; it is the reference, and the PRM",
    `starts as its copy. The PRM then sees ${LOCALISE.examples.toLocaleString("en")} answers to training problems, half of them right, half with one wrong result at a random step from which the later`,
    "steps work on rightly; **the only label is whether the final answer is right**. Cross entropy, one pass, beta 1.",
    "",
    `Judged on ${LOCALISE.heldOut} held-out problems a seed. "Found": the wrong step has the lowest reward of all steps of its answer. AUC: of the rewards of all steps against`,
    "whether the step is right given what it starts from. Beside it the same PRM trained on labels of steps, and no PRM at all: the step that is least likely to the",
    "fine-tuned model.",
    "",
    ...Object.keys([...found.values()][0] ?? {}).flatMap((error) => localisation(found, error)),
    ...bestOfSixteen(picks),
    readNotes(),
  ].join("\n");
}

// --- internal ---

const POLICIES = {
  "any-order": ["A policy with little practice", "Its demonstrations have no slips, but it saw too few of them, so that it errs anywhere."],
  "any-order-habit": [
    "A policy with a bad habit",
    "Where certain digits are added (two fifths of all carries), 60 % of its demonstrations forget the carry; and it saw few.",
  ],
} as const;

function bestOfSixteen(picks: Results["picks"]): string[] {
  const made = [...picks].filter(([, bySeed]) => bySeed.size > 0);
  if (made.length === 0) return [];
  return [
    "## The best of sixteen",
    "",
    `Sums of 4 to 6 numbers, added in any order (so that there are many ways to an answer). A model fine-tuned to middling accuracy answers ${PICK.heldOut} held-out problems a seed, sixteen times`,
    `each at temperature 1. The PRM is trained on ${PICK.samples} of the model's own answers to each of many training problems and on their outcomes: cross entropy, one pass, batches of ${PICK.batchSize}, learning`,
    `rate ${PICK.lr} falling to a tenth, beta ${PICK.beta}. **Its single choice is by the lowest step**, fixed beforehand as said below; the other aggregations stand beside it. An answer's weight in the weighted`,
    "vote is the sigmoid of its score.",
    "",
    ...made.flatMap(([name, bySeed]) => picksOf(name, bySeed)),
  ];
}

function picksOf(name: PickSetting, bySeed: Map<number, Picks>): string[] {
  const { policy, prompts } = PICK_SETTINGS[name];
  const [title, explanation] = POLICIES[policy];
  const seeds = [...bySeed.values()];
  const methods = Object.keys(seeds[0]);
  const all = (method: string) => seeds.flatMap((pick) => pick[method]);
  const columns = (values: (pick: (method: string) => number[]) => number[]) => [
    ...seeds.map((pick) => withInterval(values((method) => pick[method]))),
    ...(seeds.length > 1 ? [withInterval(values(all))] : []),
  ];
  const head = [...Array.from(bySeed.keys(), (seed) => `seed ${seed}`), ...(seeds.length > 1 ? ["all seeds"] : [])];
  const shown = (method: string) => (method === FIXED ? `**${method}**` : method);
  return [
    `### ${title}; a PRM from ${(prompts * PICK.samples).toLocaleString("en")} answers`,
    "",
    explanation,
    "",
    table(
      ["right", ...head],
      methods.map((method) => [shown(method), ...columns((pick) => pick(method))]),
    ),
    "Differences on the same problems (95 % intervals):",
    "",
    table(
      ["", ...head],
      differences(methods).map(([a, b]) => [`${shown(a)} − ${b}`, ...columns((pick) => pick(a).map((value, i) => value - pick(b)[i]))]),
    ),
  ];
}

/** The tables of one kind of error. */
function localisation(found: Map<number, Found>, error: string): string[] {
  const results = Array.from(found.values(), (all) => all[error]);
  const kinds = Object.keys(results[0]);
  const rows = kinds.flatMap((kind) =>
    Object.keys(results[0][kind]).map((judge) => {
      const scores = results.map((result) => result[kind][judge]);
      return [kind, judge, ...scores.map((score) => `${percent(score.hits / score.cases)}, ${score.auc.toFixed(3)}`), ...allSeeds(scores)];
    }),
  );
  const head = ["answers", "judge", ...Array.from(found.keys(), (seed) => `seed ${seed}: found, AUC`), "found, all seeds", "chance"];
  return [
    `The error is ${error}:`,
    "",
    table(
      head,
      rows.map(([kind, ...rest], i) => [i > 0 && rows[i - 1][0] === kind ? "" : kind, ...rest]),
    ),
  ];
}

function differences(methods: string[]): [string, string][] {
  const byPrm = methods.filter((method) => method.includes("PRM"));
  return [["majority vote", "greedy"], ...byPrm.map((method): [string, string] => [method, "majority vote"])];
}

function allSeeds(scores: readonly Score[]): string[] {
  const hits = scores.flatMap(({ hits, cases }) => Array.from({ length: cases }, (_, i) => Number(i < hits)));
  const chance = scores.reduce((sum, score) => sum + score.chance, 0) / scores.reduce((sum, score) => sum + score.cases, 0);
  return [withInterval(hits), percent(chance)];
}

function withInterval(values: readonly number[]): string {
  const estimate = estimators.get(values.length) ?? bootstrap(values.length, { resamples: RESAMPLES });
  estimators.set(values.length, estimate);
  const { value, low, high } = estimate(values);
  return `${percent(value)} (${number(low)} … ${number(high)})`;
}

function number(x: number): string {
  return (100 * x).toFixed(1).replace("-", "−");
}

function percent(x: number): string {
  return `${number(x)} %`;
}

function table(head: string[], rows: string[][]): string {
  return `${[head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`;
}

/** What was written by hand stands below the figures and is kept. */
function readNotes(): string {
  const file = join(RESULTS, "localisation.md");
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  const at = text.indexOf("## What it says");
  return at < 0 ? "" : text.slice(at);
}
