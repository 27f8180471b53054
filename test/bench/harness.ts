// What the benchmarks share: alternating measurements, medians, the machine, the measured rate of matrix products, results on disk.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { native } from "../../ts/native/addon.ts";

export const RESULTS = join(import.meta.dirname, "results");
export const ROUNDS = Number(process.env.PRIMEKIT_BENCH_ROUNDS ?? 5);

/** One line of a results table. Times are seconds of one run, medians of `rounds`. */
export interface BenchRow {
  what: string;
  unit: string; // of `ours` and `peer`, for example "tok/s"
  ours: number; // median
  oursRuns: number[];
  peer: number | undefined; // median; undefined: the peer was not there
  peerRuns: number[];
  ratio: number | undefined; // how many times better than the peer
  target: string; // what the project asks of itself
  floor: string; // what the hardware allows, in words and numbers
  share: number | undefined; // part of the floor's rate reached, 0..1
}

/** Something that can be run again and again: one call, the seconds it took. */
export type Timed = () => Promise<number>;

/** Runs the contestants in turn, `rounds` times, after one round that does not count; seconds per contestant and round. */
export async function alternate<Name extends string>(contestants: Record<Name, Timed>, rounds = ROUNDS): Promise<Record<Name, number[]>> {
  const names = Object.keys(contestants) as Name[];
  const seconds = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      await new Promise((resolve) => setTimeout(resolve, 100)); // the other one's threads come to rest
      const time = await contestants[name]();
      if (round >= 0) seconds[name].push(time);
    }
  }
  return seconds;
}

export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The best rate of matrix products seen on this machine now, in FLOP/s: what a model made of nothing else could reach. */
export async function matmulRate(dtype: "float32" | "bfloat16"): Promise<number> {
  let best = 0;
  for (const [m, n, k] of [
    [4096, 1024, 1024],
    [8192, 1536, 512],
    [2048, 2048, 2048],
  ]) {
    const { seconds: times } = await native().ops.matmulSeconds({ m, n, k, repeats: 8, dtype });
    best = Math.max(best, (2 * m * n * k) / times.reduce((a, b) => Math.min(a, b)));
  }
  return best;
}

export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  system: string;
  versions: Record<string, string>;
}

export function machine(peerVersions: Record<string, string> = {}): Machine {
  const info = native().info();
  const runtime: Record<string, string> = typeof Bun === "undefined" ? { node: process.version } : { bun: Bun.version };
  return {
    cpu: cpuModel(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    versions: { ...runtime, gemm: info.gemm, threads: String(info.threads), cpuFeatures: info.cpuFeatures.join(" "), ...peerVersions },
  };
}

export interface BenchResult {
  bench: string;
  date: string; // ISO, UTC
  machine: Machine;
  rows: BenchRow[];
  notes: string[];
}

/** Writes results/NAME.json and prints its table; run.ts makes results/README.md of all of them. */
export function writeResult(bench: string, rows: BenchRow[], notes: string[], peerVersions: Record<string, string> = {}): void {
  const result: BenchResult = { bench, date: new Date().toISOString(), machine: machine(peerVersions), rows, notes };
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, `${bench}.json`), `${JSON.stringify(result, null, 2)}\n`);
  console.log(toMarkdown(result));
}

export function toMarkdown({ bench, date, machine: m, rows, notes }: BenchResult): string {
  const cells = rows.map((row) => [
    row.what,
    `${short(row.ours)} ${row.unit}`,
    row.peer === undefined ? "not measured" : `${short(row.peer)} ${row.unit}`,
    row.ratio === undefined ? "" : `${row.ratio.toFixed(2)}×`,
    row.target,
    row.share === undefined ? row.floor : `${row.floor}; ${(100 * row.share).toFixed(0)} % of it reached`,
  ]);
  return [
    `## ${bench}`,
    "",
    `${date.slice(0, 10)}; ${m.cpu}, ${m.cores} cores, ${m.memoryGiB} GiB, ${m.system}; ${Object.entries(m.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}.`,
    "",
    "| what | ours | peer | ratio | target | floor |",
    "|---|---|---|---|---|---|",
    ...cells.map((row) => `| ${row.join(" | ")} |`),
    "",
    ...notes.map((note) => `- ${note}`),
    "",
  ].join("\n");
}

// --- internal ---

function short(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

function cpuModel(): string {
  const model = cpus()[0]?.model.trim();
  if (model && model !== "unknown") return model;
  try {
    return /model name\s*:\s*(.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown CPU";
  } catch {
    return "unknown CPU";
  }
}
