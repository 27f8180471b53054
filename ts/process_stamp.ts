// A text that names a running process for good: its id and start time, so that a reused id is told apart.
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

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

/** This process in a file name, told apart from those of other machines that share the folder. */
export function processName(): string {
  return `${hostname()}-${processStamp().replace(" ", "-")}`;
}

/** Whether the process of such a name still runs; undefined where nothing can be known of it: it is another machine's, or no process's name. */
export function isRunningNamed(name: string): boolean | undefined {
  const [, host, pid, start] = /^(.*)-(\d+)-(\d*)$/.exec(name) ?? [];
  return host === hostname() ? isRunning(`${pid} ${start}`) : undefined;
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
