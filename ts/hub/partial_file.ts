// Files under way. The name says which process writes one, so two never write the same, and what a killed one left is taken over and completed.
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isRunningNamed, processName } from "../process_stamp.ts";
import { exists, unlessMissing } from "./cache.ts";

// BLOB.OWNER.incomplete; other tools write BLOB.incomplete, which is left alone. Nobody owns a file that a failed download gave back.
const SUFFIX = ".incomplete";
const NOBODY = "free";
const POLL_MS = 200;

/**
 * The file to write `blob` to: what an ended process left of it, or an empty one. While another process (or call) downloads the same blob, waits for it.
 * undefined when the blob is there by then.
 */
export async function claim(blob: string, signal?: AbortSignal): Promise<string | undefined> {
  const mine = pathOf(blob, processName());
  await mkdir(dirname(blob), { recursive: true });
  for (;;) {
    signal?.throwIfAborted();
    if (await exists(blob)) return undefined;
    const others = await partsOf(blob);
    const rival = others.find(({ busy }) => busy);
    if (!rival && !writing.has(mine)) {
      writing.add(mine); // before anything is awaited: this is where calls of one process meet
      if (await takeOver(others, mine)) return mine;
      if (await create(blob, mine)) return mine;
      writing.delete(mine);
    }
    await pause(signal);
  }
}

/** Gives an unfinished file back: the next download goes on with it. */
export async function release(blob: string, partial: string): Promise<void> {
  const size = (await stat(partial).catch(unlessMissing))?.size;
  if (size === 0) await rm(partial, { force: true });
  else if (size !== undefined) await rename(partial, pathOf(blob, NOBODY));
  writing.delete(partial);
}

/** The file is complete and right: it becomes the blob. */
export async function complete(blob: string, partial: string): Promise<void> {
  await rename(partial, blob);
  writing.delete(partial);
}

/** The file is wrong: nothing of it is kept. */
export async function discard(partial: string): Promise<void> {
  await rm(partial, { force: true });
  writing.delete(partial);
}

// --- internal ---

interface Part {
  path: string;
  busy: boolean; // a running process writes it
  foreign: boolean; // it belongs to another machine that shares the cache: never touched
}

const writing = new Set<string>(); // by this process

function pathOf(blob: string, owner: string): string {
  return `${blob}.${owner}${SUFFIX}`;
}

async function partsOf(blob: string): Promise<Part[]> {
  const prefix = `${basename(blob)}.`;
  const names = (await readdir(dirname(blob))).filter((name) => name.startsWith(prefix) && name.endsWith(SUFFIX) && name !== `${basename(blob)}${SUFFIX}`);
  return names.map((name) => {
    const path = join(dirname(blob), name);
    const owner = name.slice(prefix.length, -SUFFIX.length);
    if (owner === NOBODY) return { path, busy: false, foreign: false };
    const running = isRunningNamed(owner);
    return { path, busy: owner === processName() ? writing.has(path) : running === true, foreign: running === undefined };
  });
}

/** A rename succeeds for one process only: the file is then nobody else's. */
async function takeOver(parts: readonly Part[], mine: string): Promise<boolean> {
  for (const { path, foreign } of parts) {
    if (foreign) continue;
    if (path === mine) return true;
    const taken = await rename(path, mine).then(() => true, unlessMissing);
    if (taken) return true;
  }
  return false;
}

/** Starts an empty file, unless several processes do so at once and another is ahead. (Two that both go on cost time, not correctness.) */
async function create(blob: string, mine: string): Promise<boolean> {
  await (await open(mine, "a")).close();
  for (const { path, busy } of await partsOf(blob)) {
    if (!busy || path === mine) continue;
    const size = (await stat(path).catch(unlessMissing))?.size ?? 0;
    if (size === 0 && path > mine) continue;
    await rm(mine, { force: true });
    return false;
  }
  return true;
}

async function pause(signal?: AbortSignal): Promise<void> {
  try {
    await sleep(POLL_MS, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}
