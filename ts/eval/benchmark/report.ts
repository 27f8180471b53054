// An evaluation as Markdown: a table of all metrics, the curves over N, and where every figure comes from.
import type { CurvePoint } from "../pick/curves.ts";
import type { Estimate } from "../pick/interval.ts";
import { type Aggregation, aggregations } from "../pick/metrics.ts";

export interface BenchmarkResult {
  name: string;
  title: string;
  problems: number;
  greedy: Estimate; // pass@1
  /** By N; the last has all answers. Empty without samples. */
  curve: CurvePoint[];
  truncated: number; // share of all answers cut by the length limit
  undecided: number; // answers without a verdict (time-out, error); they count as wrong
  answersFile: string; // the answers behind the figures, relative to the report
  rewardsFile?: string; // the PRM's step rewards
}

export interface EvalReport {
  version: 1;
  model: string;
  prm?: string;
  reference?: string;
  settings: Record<string, unknown>;
  results: BenchmarkResult[];
}

const HOW = Object.keys(aggregations) as Aggregation[];

/** 41.2 % with its 95 % interval. */
export function showEstimate({ value, low, high }: Estimate): string {
  return `${(100 * value).toFixed(1)} (${(100 * low).toFixed(1)}-${(100 * high).toFixed(1)})`;
}

/** Rows of the main table: one metric each, one benchmark a column; greedy first, the others with all answers. */
export function summaryRows(results: readonly BenchmarkResult[]): string[][] {
  const row = (label: string, value: (result: BenchmarkResult) => Estimate | undefined): string[] => {
    const cells = results.map(value);
    return cells.some((cell) => cell !== undefined) ? [label, ...cells.map((cell) => (cell ? showEstimate(cell) : "–"))] : [];
  };
  const last = (result: BenchmarkResult) => result.curve.at(-1);
  const n = Math.max(0, ...results.map((result) => last(result)?.n ?? 0));
  return [
    row("greedy (pass@1)", ({ greedy }) => greedy),
    row(`mean@${n}`, (result) => last(result)?.mean),
    row(`pass@${n}`, (result) => last(result)?.pass),
    row(`majority@${n}`, (result) => last(result)?.majority),
    ...HOW.map((how) => row(`best of ${n}, ${how}`, (result) => last(result)?.best?.[how])),
    ...HOW.map((how) => row(`weighted best of ${n}, ${how}`, (result) => last(result)?.weighted?.[how])),
  ].filter((cells) => cells.length > 0);
}

/** The report; `plots` are file names of pictures by benchmark, relative to it. */
export function renderMarkdown(report: EvalReport, plots: Readonly<Record<string, string>>): string {
  const { model, prm, reference, settings, results } = report;
  const head = ["metric, % (95 % interval)", ...results.map(({ title }) => title)];
  return [
    "# Evaluation",
    "",
    `Model: \`${model}\``,
    ...(prm ? [`PRM: \`${prm}\`, reference: \`${reference}\``] : []),
    `Settings: ${Object.entries(settings)
      .map(([name, value]) => `${name} ${value}`)
      .join(", ")}`,
    "",
    ...markdownTable(head, summaryRows(results)),
    "",
    "Intervals: bootstrap over problems. pass@k and Best-of-N are exact over all subsets of the answers; votes are averaged over random subsets.",
    "An answer's PRM score is the minimum, the mean or the sum of its step rewards, or its last one; the sum is the Q value at its end.",
    ...results.flatMap((result) => section(result, plots[result.name])),
    "",
  ].join("\n");
}

// --- internal ---

function section(result: BenchmarkResult, plot: string | undefined): string[] {
  const { title, problems, truncated, undecided, curve, answersFile, rewardsFile } = result;
  const judged = curve[0]?.best !== undefined;
  const head = ["N", "mean", "pass", "majority", ...(judged ? [...HOW.map((how) => `best, ${how}`), ...HOW.map((how) => `weighted, ${how}`)] : [])];
  const rows = curve.map(({ n, mean, pass, majority, best, weighted }) =>
    [String(n), mean, pass, majority, ...HOW.map((how) => best?.[how]), ...HOW.map((how) => weighted?.[how])]
      .filter((cell) => cell !== undefined)
      .map((cell) => (typeof cell === "string" ? cell : showEstimate(cell))),
  );
  return [
    "",
    `## ${title}`,
    "",
    `${problems} problems; ${(100 * truncated).toFixed(1)} % of the answers were cut by the length limit, ${undecided} had no verdict.`,
    `Answers: [${answersFile}](${answersFile})${rewardsFile ? `; step rewards: [${rewardsFile}](${rewardsFile})` : ""}`,
    ...(plot ? ["", `![${title}](${plot})`] : []),
    ...(rows.length > 0 ? ["", ...markdownTable(head, rows)] : []),
  ];
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [`| ${head.join(" | ")} |`, `|${head.map(() => "---").join("|")}|`, ...rows.map((row) => `| ${row.join(" | ")} |`)];
}
