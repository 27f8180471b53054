// Formats without random access (JSON arrays, CSV, Parquet, .gz) are rewritten once as lines of JSON, in a cache folder, and read from there.
import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, open, realpath, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { PrimekitError } from "../../errors.ts";
import { readers } from "../records/read_records.ts";
import type { Format } from "../records/types.ts";

const VERSION = 1; // of the spool's lines
const PIECE = 1 << 20;

/** A spooled row: its line in the source, and the record, or why there is none. */
export type SpoolLine = [line: number, record: Record<string, unknown>] | [line: number, record: null, reason: string];

/** Where rewritten data is kept unless a folder is given: $PRIMEKIT_CACHE, or primekit in the user's cache folder. It may be deleted at any time. */
export function defaultCacheDir(): string {
  return process.env.PRIMEKIT_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "primekit");
}

/**
 * The spool of a file, made unless an earlier one of the same file (path, size, time of change) is there. Its lines are SpoolLines.
 * Throws what the format's reader throws, and ERR_IO when the cache folder cannot be written.
 */
export async function spool(file: string, format: Format, cacheDir: string, signal?: AbortSignal): Promise<string> {
  const target = join(cacheDir, "data", `${await identity(file, format)}.jsonl`);
  if (existsSync(target)) return target;
  const refuse = (cause: unknown): never => {
    if (cause instanceof PrimekitError) throw cause;
    throw new PrimekitError("ERR_IO", `The data of ${file} cannot be written to the cache folder ${cacheDir}: ${(cause as Error).message}.`, { cause });
  };
  await mkdir(join(cacheDir, "data"), { recursive: true }).catch(refuse);
  const beside = `${target}.${randomUUID()}.tmp`;
  try {
    await writeSpool(beside, file, format, signal);
    await rename(beside, target);
    return target;
  } catch (cause) {
    await rm(beside, { force: true });
    return refuse(cause);
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
