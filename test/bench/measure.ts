// Small tools for benchmarks: medians, tables, memory, the machine.
import { readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Seconds of `runs` calls after one that is not counted. */
export function time(body: () => unknown, runs: number): number[] {
  body();
  return Array.from({ length: runs }, () => {
    const start = performance.now();
    body();
    return (performance.now() - start) / 1e3;
  });
}

/** Resident bytes now, and the peak since resetPeak(); Linux only. */
export function residentBytes(): { now: number; peak: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const field = (name: string) => Number(/(\d+) kB/.exec(status.slice(status.indexOf(`${name}:`)))?.[1]) * 1024;
  return { now: field("VmRSS"), peak: field("VmHWM") };
}
export function resetPeak(): void {
  writeFileSync("/proc/self/clear_refs", "5");
}

export function machine(): Record<string, string | number> {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()} ${arch()}`,
    date: new Date().toISOString().slice(0, 10),
  };
}

export interface Row {
  what: string;
  ours: string;
  floor?: string;
  peer?: string;
  target: string;
  met: boolean | undefined; // undefined: not measured
}

export function renderTable(rows: readonly Row[]): string {
  const cells = rows.map((r) => [r.what, r.ours, r.floor ?? "", r.peer ?? "", r.target, r.met === undefined ? "not measured" : r.met ? "met" : "MISSED"]);
  const all = [["what", "ours", "floor", "peer", "target", ""], ...cells];
  const widths = all[0].map((_, c) => Math.max(...all.map((row) => row[c].length)));
  return all
    .map((row) =>
      row
        .map((cell, c) => cell.padEnd(widths[c]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
