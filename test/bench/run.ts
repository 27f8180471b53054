// bun run bench [NAME...]: runs the benchmarks (all, or those named), each in a process of its own, and renews results/README.md.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BenchResult, RESULTS } from "./harness.ts";

const wanted = process.argv.slice(2);
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".bench.ts"))
  .map((file) => file.slice(0, -".bench.ts".length))
  .toSorted();
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`There is no benchmark named ${unknown.join(", ")}; there are: ${names.join(", ")}.`);
  process.exit(1);
}
const failed: string[] = [];
for (const name of wanted.length > 0 ? wanted : names) {
  console.log(`--- ${name}`);
  const { status, signal } = spawnSync(process.execPath, [join(import.meta.dirname, `${name}.bench.ts`), "--save"], { stdio: "inherit" });
  if (status !== 0) failed.push(`${name} (${signal ?? `status ${status}`})`);
}
writeFileSync(join(RESULTS, "README.md"), resultsPage());
if (failed.length > 0) {
  console.error(`These benchmarks failed: ${failed.join(", ")}.`);
  process.exit(1);
}

function resultsPage(): string {
  const files = readdirSync(RESULTS).filter((file) => file.endsWith(".json"));
  const intro = [
    "# Benchmark results",
    "",
    "Made by `bun run bench`: medians; ours and the peer take turns in one run, and the floors are measured in it too. Sections may stem from different machines and commits: the measured rates beside the floors tell.",
    "",
  ];
  return [...intro, ...files.toSorted().map((file) => section(file.slice(0, -".json".length), JSON.parse(readFileSync(join(RESULTS, file), "utf8"))))].join(
    "\n",
  );
}

function section(name: string, { machine, rows, notes = [] }: BenchResult): string {
  const setting = Object.entries(machine).map(([key, value]) => `${key} ${Array.isArray(value) ? value.join(" ") : value}`);
  const verdict = (met: boolean | undefined) => (met === undefined ? "not measured" : met ? "met" : "missed");
  return [
    `## ${name}`,
    "",
    `${setting.join(", ")}.`,
    "",
    "| what | ours | floor | peer | target | |",
    "|---|---|---|---|---|---|",
    ...rows.map((row) => `| ${[row.what, row.ours, row.floor ?? "", row.peer ?? "", row.target, row.target ? verdict(row.met) : ""].join(" | ")} |`),
    "",
    ...notes.map((note) => `- ${note}`),
    ...(notes.length > 0 ? [""] : []),
  ].join("\n");
}
