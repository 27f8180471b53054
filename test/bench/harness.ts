// What the benchmarks of the model share: measurements taken in turns, the measured rate of matrix products, results on disk.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { native } from "../../ts/native/addon.ts";
import { machine, median, type Row, renderTable } from "./measure.ts";

export const RESULTS = join(import.meta.dirname, "results");
export const ROUNDS = Number(process.env.PRIMEKIT_BENCH_ROUNDS ?? 5);

/** One comparison: seconds of every run. */
export interface Comparison {
  what: string;
  ours: number[];
  peer: number[] | undefined; // undefined: the peer was not there
  /** What a second is turned into for the table: "tok/s" of so many tokens, or seconds themselves. */
  unit: { name: string; per?: number };
  target: number | undefined; // times faster than the peer
  flops: number; // of one run, all arithmetic counted once
  rate: number; // FLOP/s of matrix products measured in this run: the floor is flops / rate
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

/** A results file: what run.ts puts into results/README.md. */
export interface BenchResult {
  machine: Record<string, unknown>;
  rows: Row[];
  notes?: string[];
}

/** Prints the table, and writes results/NAME.json when asked to (--save). */
export function report(bench: string, comparisons: Comparison[], notes: string[], peerVersions: Record<string, string> = {}): void {
  const rows = comparisons.map(toRow);
  console.log(renderTable(rows));
  for (const note of notes) console.log(note);
  if (!process.argv.includes("--save")) return;
  const { gemm, threads, cpuFeatures } = native().info();
  const runtime: Record<string, string> = typeof Bun === "undefined" ? { node: process.version } : { bun: Bun.version };
  const result: BenchResult & { runs: unknown } = {
    machine: { ...machine(), threads, gemm, cpuFeatures, ...runtime, ...peerVersions },
    rows,
    notes,
    runs: comparisons,
  };
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, `${bench}.json`), `${JSON.stringify(result, null, 2)}\n`);
}

// --- internal ---

function toRow({ what, ours, peer, unit, target, flops, rate }: Comparison): Row {
  const show = (times: number[]) =>
    unit.per ? `${Math.round(unit.per / median(times)).toLocaleString("en")} ${unit.name}` : `${median(times).toFixed(2)} ${unit.name}`;
  const ratio = peer && median(peer) / median(ours);
  const share = flops / rate / median(ours);
  return {
    what,
    ours: show(ours),
    floor: `${(flops / 1e9).toFixed(0)} GFLOP at ${(rate / 1e9).toFixed(0)} GFLOP/s, ${(100 * share).toFixed(0)} % of it`,
    peer: peer && ratio ? `${show(peer)}, ${ratio.toFixed(2)}x` : "skipped",
    target: target === undefined ? "" : `${target}x`,
    met: target === undefined ? true : ratio === undefined ? undefined : ratio >= target,
  };
}
