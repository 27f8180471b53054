// The folder of spools: bounded in size, the least recently used going first, and never one that a running process reads.
import { mkdir, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { PrimekitError } from "../../errors.ts";
import { isRunningNamed, processName } from "../../process_stamp.ts";

const DEFAULT_LIMIT = 20; // GB
const FOREIGN_MS = 7 * 24 * 3600 * 1000; // how long another machine's mark counts: whether its process runs cannot be seen from here

/** Where rewritten data is kept unless a folder is given: $PRIMEKIT_CACHE, or primekit in the user's cache folder. It may be deleted while nothing runs. */
export function defaultCacheDir(): string {
  return process.env.PRIMEKIT_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "primekit");
}

/** Bytes that spools may take, from $PRIMEKIT_CACHE_GB. Throws ERR_CONFIG when that is no number. */
export function spoolLimit(): number {
  const text = process.env.PRIMEKIT_CACHE_GB ?? "";
  const gigabytes = text === "" ? DEFAULT_LIMIT : Number(text);
  if (gigabytes >= 0) return gigabytes * 1e9;
  throw new PrimekitError("ERR_CONFIG", `The environment variable PRIMEKIT_CACHE_GB must be a number of gigabytes, but is ${JSON.stringify(text)}.`);
}

export function spoolPath(cacheDir: string, id: string): string {
  return join(cacheDir, "data", `${id}.jsonl`);
}

/** A name beside a spool that is being written. */
export function unfinishedPath(spool: string): string {
  return `${spool}.${processName()}.${counter++}.tmp`;
}

/** Says that this process reads a spool, until it ends; whether the spool is there. */
export async function useSpool(cacheDir: string, id: string): Promise<boolean> {
  const marks = join(cacheDir, "uses");
  const now = new Date();
  try {
    await mkdir(marks, { recursive: true });
    await writeFile(join(marks, `${id}.${processName()}`), ""); // first, so that nobody deletes what is found below
    await utimes(spoolPath(cacheDir, id), now, now);
  } catch (error) {
    if (!READ_ONLY.has(codeOf(error))) return unlessGone(error) ?? false;
    return (await stat(spoolPath(cacheDir, id)).catch(unlessGone)) !== undefined; // a cache that others fill
  }
  return true;
}

/** Deletes what ended processes left half-written, and then the least recently used spools until the rest is within the limit or in use. */
export async function boundSpools(cacheDir: string, limit = spoolLimit()): Promise<void> {
  const used = await usedSpools(cacheDir);
  const folder = dirname(spoolPath(cacheDir, ""));
  const spools: { path: string; size: number; last: number; used: boolean }[] = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const found = await stat(path).catch(unlessGone);
    const [, id, unfinished] = /^([^.]+)\.jsonl(\..+\.tmp)?$/.exec(name) ?? [];
    if (!found || id === undefined) continue;
    if (unfinished === undefined) spools.push({ path, size: found.size, last: found.mtimeMs, used: used.has(id) });
    else if (hasEnded(unfinished.slice(1).replace(/\.\d+\.tmp$/, ""), found.mtimeMs)) await remove(path);
  }
  let total = spools.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of spools.filter((spool) => !spool.used).sort((a, b) => a.last - b.last)) {
    if (total <= limit) return;
    await remove(path);
    total -= size;
  }
}

// --- internal ---

let counter = 0;

const READ_ONLY: ReadonlySet<string | undefined> = new Set(["EACCES", "EPERM", "EROFS"]);

/** Ids of the spools that somebody reads; marks of processes that have ended are deleted. */
async function usedSpools(cacheDir: string): Promise<Set<string>> {
  const marks = join(cacheDir, "uses");
  const used = new Set<string>();
  for (const name of (await readdir(marks).catch(unlessGone)) ?? []) {
    const path = join(marks, name);
    const found = await stat(path).catch(unlessGone);
    const dot = name.indexOf(".");
    if (found && hasEnded(name.slice(dot + 1), found.mtimeMs)) await remove(path);
    else if (found) used.add(name.slice(0, dot));
  }
  return used;
}

function hasEnded(name: string, since: number): boolean {
  const running = isRunningNamed(name);
  return running === undefined ? Date.now() - since > FOREIGN_MS : !running;
}

/** What belongs to another user stays; what another process has deleted is gone as well. */
async function remove(path: string): Promise<void> {
  await rm(path, { force: true }).catch((error) => {
    if (!READ_ONLY.has(codeOf(error))) throw error;
  });
}

function unlessGone(error: unknown): undefined {
  if (codeOf(error) !== "ENOENT") throw error;
  return undefined;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
