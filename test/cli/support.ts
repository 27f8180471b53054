// Runs the program as a user does: a process of its own, in a folder of its own.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dir, "../..");

/** Fine-tuning of a second. */
export const TINY_SFT = [
  ["--model.hiddenSize", "32", "--model.intermediateSize", "64", "--model.numHiddenLayers", "1", "--model.numAttentionHeads", "2"],
  ["--model.numKeyValueHeads", "1", "--model.dtype", "float32", "--task.minSteps", "1", "--task.maxSteps", "1", "--task.heldOutSize", "8"],
  ["--sft.steps", "6", "--sft.batchSize", "8", "--sft.saveEvery", "2", "--sft.maxNewTokens", "24", "--sft.evalProblems", "8"],
].flat();

/** A job of a second or two that still goes through every part. */
export const TINY = [
  TINY_SFT,
  ["--steps", "5", "--promptsPerStep", "4", "--saveEvery", "2", "--maxNewTokens", "24", "--filterLow", "0", "--filterHigh", "1"],
  ["--threads", "1", "--rolloutsEvery", "1", "--evalProblems", "8", "--sampleAnswers", "1"],
].flat();

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | number | null;
  stdout: string;
  stderr: string;
}

/** Starts `train.ts` (or another entry) and hands out the process and its end. */
export function start(args: string[], entry = "train.ts") {
  const child = Bun.spawn([process.execPath, join(ROOT, entry), ...args], {
    cwd: ROOT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, NO_COLOR: "1" },
  });
  const ended: Promise<Ended> = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]).then(([stdout, stderr]) => ({
    code: child.exitCode,
    signal: child.signalCode,
    stdout,
    stderr,
  }));
  return { child, ended };
}

export async function run(args: string[], entry?: string): Promise<Ended> {
  return start(args, entry).ended;
}

/** Call it before PRIMEKIT_CACHE is set, and what it returns when the folder is removed. */
export function keepCacheSetting(): () => void {
  const before = process.env.PRIMEKIT_CACHE;
  return () => {
    if (before === undefined) delete process.env.PRIMEKIT_CACHE;
    else process.env.PRIMEKIT_CACHE = before;
  };
}

/** What must be equal between equal runs: metrics and rollouts with times left out, and hashes of all files of the newest checkpoints. */
export function fingerprint(dir: string): Record<string, string> {
  return { ...fingerprintOf(dir), ...(existsSync(join(dir, "sft")) ? fingerprintOf(dir, "sft") : {}) };
}

/** The same of one run folder. */
export function fingerprintOf(dir: string, part = ""): Record<string, string> {
  const result: Record<string, string> = {};
  const folder = join(dir, part);
  const rows = readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n");
  result[join(part, "metrics.jsonl")] = rows.map((row) => JSON.stringify(withoutTimes(JSON.parse(row)))).join("\n");
  for (const name of readdirSync(join(folder, "rollouts")).sort()) result[join(part, "rollouts", name)] = hash(join(folder, "rollouts", name));
  const checkpoint = readFileSync(join(folder, "latest"), "utf8").trim();
  for (const file of readdirSync(join(folder, checkpoint), { recursive: true, encoding: "utf8" }).sort()) {
    if (file.endsWith(".safetensors")) result[join(part, checkpoint, file)] = hash(join(folder, checkpoint, file));
  }
  return result;
}

// --- internal ---

function withoutTimes(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith("time/")));
}

function hash(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}
