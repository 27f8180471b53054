// A run in a temporary folder, and what two runs must have in common.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RunFolder } from "../../ts/run/run_folder.ts";

type Row = Record<string, number | string>;

/** A run folder that is removed on close. */
export async function temporaryRun(): Promise<{ run: RunFolder; close: () => Promise<void> }> {
  const root = mkdtempSync(join(tmpdir(), "primekit-train-"));
  const run = await RunFolder.create(root, "run", {});
  const close = async () => {
    await run.close();
    rmSync(root, { recursive: true, force: true });
  };
  return { run, close };
}

/** Metrics rows without what depends on the clock. */
export async function timelessMetrics(run: RunFolder): Promise<Row[]> {
  return (await run.readMetrics()).map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith("time/"))));
}

/** A signal that fires at the n-th event for which `matches` holds. */
export function stopAt<E>(n: number, matches: (event: E) => boolean): { signal: AbortSignal; onEvent: (event: E) => void } {
  const stop = new AbortController();
  let seen = 0;
  return {
    signal: stop.signal,
    onEvent: (event) => {
      if (matches(event) && ++seen === n) stop.abort();
    },
  };
}
