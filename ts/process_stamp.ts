// A text that names a running process for good: its id and start time, so that a reused id is told apart.
import { readFileSync } from "node:fs";

export function processStamp(pid: number = process.pid): string {
  return `${pid} ${startTime(pid)}`;
}

/** Whether the process that a stamp names still runs. */
export function isRunning(stamp: string): boolean {
  const pid = Number(stamp.split(" ")[0]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false; // EPERM: it runs as somebody else
  }
  return processStamp(pid) === stamp;
}

// --- internal ---

/** Clock ticks from boot to the process's start; "" where there is no /proc, and then the id alone has to do. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return "";
  }
}
