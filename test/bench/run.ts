// bun run bench [NAME...]: runs the benchmarks (all, or those named), each in a process of its own, and renews results/README.md.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BenchResult, RESULTS, toMarkdown } from "./harness.ts";

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
  const { status, signal } = spawnSync(process.execPath, [join(import.meta.dirname, `${name}.bench.ts`)], { stdio: "inherit" });
  if (status !== 0) failed.push(`${name} (${signal ?? `status ${status}`})`);
}
writeFileSync(join(RESULTS, "README.md"), resultsPage());
if (failed.length > 0) {
  console.error(`These benchmarks failed: ${failed.join(", ")}.`);
  process.exit(1);
}

function resultsPage(): string {
  const results = readdirSync(RESULTS)
    .filter((file) => file.endsWith(".json"))
    .toSorted()
    .map((file) => JSON.parse(readFileSync(join(RESULTS, file), "utf8")) as BenchResult);
  const intro = [
    "# Benchmark results",
    "",
    "Made by `bun run bench`. Ours and the peer take turns in one run; numbers are medians. A ratio is how many times better ours is.",
    "The floor is the work's arithmetic at the rate of matrix products measured in the same run, or what the row says.",
    "",
  ];
  return [...intro, ...results.map(toMarkdown)].join("\n");
}
