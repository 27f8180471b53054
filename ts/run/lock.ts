// One process at a time writes to a run. The lock file names its owner, so that a killed owner frees it.
import { readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { PrimekitError } from "../errors.ts";
import { isRunning, processStamp } from "../process_stamp.ts";
import { ioError } from "./io.ts";

/** Takes the lock file or throws ERR_IO naming the process that holds it. The same process may take it again. */
export async function takeLock(file: string, what: string): Promise<void> {
  const mine = processStamp();
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await writeFile(file, mine, { flag: "wx" });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw ioError(`write ${file}`, error);
    }
    const owner = await readOwner(file);
    if (owner === mine) return;
    if (isRunning(owner)) throw new PrimekitError("ERR_IO", `${what} is in use by process ${owner.split(" ")[0]}: wait for it to end, or use another run.`);
    await rm(file, { force: true });
  }
  throw new PrimekitError("ERR_IO", `${what} is being opened by several processes at once.`);
}

export async function releaseLock(file: string): Promise<void> {
  await rm(file, { force: true });
}

// --- internal ---

/** "" when the lock is gone, or nobody has written a name into it for half a second: its owner died before it could. */
async function readOwner(file: string): Promise<string> {
  for (let waited = 0; waited < 500; waited += 20) {
    const owner = await readFile(file, "utf8").catch(() => undefined);
    if (owner !== "") return owner ?? "";
    await pause(20);
  }
  return "";
}
