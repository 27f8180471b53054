// One set-up at a time in a source tree. Synchronous, because programs wait for the set-up before they load anything else.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { isRunning, processStamp } from "../../process_stamp.ts";

const NAMELESS_MS = 5000;

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
  if (isLeft(file)) rmSync(file, { force: true });
  return false;
}

/** Whether the owner is gone: its process ended, or it did not get as far as writing its name (a full disk). */
function isLeft(file: string): boolean {
  try {
    const owner = readFileSync(file, "utf8");
    return owner === "" ? Date.now() - statSync(file).mtimeMs > NAMELESS_MS : !isRunning(owner);
  } catch {
    return false; // it was freed just now
  }
}
