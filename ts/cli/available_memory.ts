// How much memory a run may still take: what the kernel calls available, within the limits of the control groups around this process.
import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import { dirname, join } from "node:path";
import { hasGpu } from "../model.ts";
import { native } from "../native/addon.ts";

/** Bytes available on the device; undefined where there is no such GPU. `root` stands before the system's files: for tests. */
export function availableMemory(device: "cpu" | "cuda", root = "/"): number | undefined {
  if (device === "cuda") return hasGpu() ? native().cudaMemory().free : undefined;
  const machine = /^MemAvailable:\s+(\d+) kB/m.exec(read(join(root, "proc/meminfo")))?.[1];
  return Math.min(machine ? Number(machine) * 1024 : freemem(), ...groupLimits(root));
}

// --- internal ---

/** Bytes left in each control group of this process that has a limit, up to the root (version 2), or in the one of version 1. */
function groupLimits(root: string): number[] {
  const groups = read(join(root, "proc/self/cgroup"));
  const left: number[] = [];
  let path = /^0::(.*)$/m.exec(groups)?.[1];
  for (; path !== undefined; path = path === "/" ? undefined : dirname(path)) {
    const dir = join(root, "sys/fs/cgroup", path);
    left.push(remaining(join(dir, "memory.max"), join(dir, "memory.current"), join(dir, "memory.stat")));
  }
  const dir = join(root, "sys/fs/cgroup/memory");
  left.push(remaining(join(dir, "memory.limit_in_bytes"), join(dir, "memory.usage_in_bytes"), join(dir, "memory.stat")));
  return left.filter(Number.isFinite);
}

/** Limit - use, where there is a limit; file pages that nobody needs now do not count as used. */
function remaining(limitFile: string, usedFile: string, statFile: string): number {
  const limit = Number.parseInt(read(limitFile), 10); // NaN for "max"
  const used = Number.parseInt(read(usedFile), 10);
  const reclaimable = Number(/^(?:total_)?inactive_file (\d+)/m.exec(read(statFile))?.[1] ?? 0);
  return limit - Math.max(0, used - reclaimable);
}

/** "" where there is no such file: other systems, other versions of control groups. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
