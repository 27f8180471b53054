// One process at a time writes to a run. A lock is the owner's process id and start time, so a killed owner frees it.
import { readFileSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { PrimekitError } from "../errors.ts";
import { ioError } from "./io.ts";

/** Takes the lock file or throws ERR_IO naming the process that holds it. The same process may take it again. */
export async function takeLock(file: string, what: string): Promise<void> {
  const mine = `${process.pid} ${startTime(process.pid)}`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await writeFile(file, mine, { flag: "wx" });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw ioError(`write ${file}`, error);
    }
    const owner = await readFile(file, "utf8").catch(() => "");
    if (owner === mine) return;
    if (isAlive(owner)) throw new PrimekitError("ERR_IO", `${what} is in use by process ${owner.split(" ")[0]}: wait for it to end, or use another run.`);
    await rm(file, { force: true }); // its owner is gone
  }
  throw new PrimekitError("ERR_IO", `${what} is being opened by several processes at once.`);
}

export async function releaseLock(file: string): Promise<void> {
  await rm(file, { force: true });
}

// --- internal ---

function isAlive(owner: string): boolean {
  const [pid, started] = owner.split(" ");
  if (!/^\d+$/.test(pid)) return false;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return startTime(Number(pid)) === started;
}

/** Clock ticks since boot at which a process began ("" where there is no /proc): tells a reused process id apart. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return ""; // no /proc: the process id alone has to do
  }
}
