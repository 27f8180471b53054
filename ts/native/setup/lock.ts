// One set-up at a time in a source tree. Synchronous, because programs wait for the set-up before they load anything else.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { isRunning, processStamp } from "../../process_stamp.ts";

/** Runs `work` while holding the lock file; waits for another process that holds it, and says so once. */
export function withLock<T>(file: string, say: (line: string) => void, work: () => T): T {
  mkdirSync(dirname(file), { recursive: true });
  let said = false;
  while (!tryLock(file)) {
    if (!said) say("another process is setting up; waiting for it");
    said = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  }
  try {
    return work();
  } finally {
    rmSync(file, { force: true });
  }
}

// --- internal ---

function tryLock(file: string): boolean {
  try {
    writeFileSync(file, processStamp(), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const owner = readOwner(file);
  if (owner !== undefined && !isRunning(owner)) rmSync(file, { force: true });
  return false;
}

/** Undefined while the owner is still writing its name, or has just gone. */
function readOwner(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8") || undefined;
  } catch {
    return undefined;
  }
}
