// Formats without random access (JSON arrays, CSV, Parquet, .gz) are rewritten once as lines of JSON, in a cache folder, and read from there.
import { createHash } from "node:crypto";
import { mkdir, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { PrimekitError } from "../../errors.ts";
import { readers } from "../records/read_records.ts";
import type { Format } from "../records/types.ts";
import { boundSpools, spoolPath, unfinishedPath, useSpool } from "./spool_cache.ts";

const VERSION = 1; // of the spool's lines
const PIECE = 1 << 20;

/** A spooled row: its line in the source, and the record, or why there is none. */
export type SpoolLine = [line: number, record: Record<string, unknown>] | [line: number, record: null, reason: string];

/**
 * The spool of a file, made unless an earlier one of the same file (path, size, time of change) is there. Its lines are SpoolLines.
 * It stays while this process runs; others may have to make room for it (see spoolLimit).
 * Throws what the format's reader throws, and ERR_IO when the cache folder cannot be written.
 */
export async function spool(file: string, format: Format, cacheDir: string, signal?: AbortSignal): Promise<string> {
  const id = await identity(file, format);
  const target = spoolPath(cacheDir, id);
  let beside: string | undefined;
  try {
    if (!(await useSpool(cacheDir, id))) {
      await mkdir(dirname(target), { recursive: true });
      beside = unfinishedPath(target);
      await writeSpool(beside, file, format, signal);
      await rename(beside, target);
    }
    await boundSpools(cacheDir);
    return target;
  } catch (cause) {
    if (beside !== undefined) await rm(beside, { force: true });
    if (cause instanceof PrimekitError) throw cause;
    throw new PrimekitError("ERR_IO", `The data of ${file} cannot be written to the cache folder ${cacheDir}: ${(cause as Error).message}.`, { cause });
  }
}

// --- internal ---

async function identity(file: string, format: Format): Promise<string> {
  const { size, mtimeMs } = await stat(file);
  return createHash("sha256")
    .update(JSON.stringify([VERSION, format, await realpath(file), size, mtimeMs]))
    .digest("hex")
    .slice(0, 32);
}

async function writeSpool(target: string, file: string, format: Format, signal: AbortSignal | undefined): Promise<void> {
  const handle = await open(target, "w");
  try {
    let text = "";
    const put = async (line: SpoolLine) => {
      text += `${JSON.stringify(line)}\n`;
      if (text.length < PIECE) return;
      await handle.write(text);
      text = "";
    };
    let bad: SpoolLine[] = [];
    const onBadRow = (row: { line: number; reason: string }) => bad.push([row.line, null, row.reason]);
    const flushBad = async () => {
      for (const line of bad) await put(line);
      bad = [];
    };
    for await (const { line, record } of readers[format](file, { signal, onBadRow })) {
      await flushBad();
      await put([line, record]);
    }
    await flushBad();
    await handle.write(text);
  } finally {
    await handle.close();
  }
}
