// checkpoints/step-NNNNNN: written beside (.tmp-…), flushed, marked complete by a manifest, renamed; old ones are pruned.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { PrimekitError } from "../errors.ts";
import { flush, ioError, withIo, writeFileAtomic } from "./io.ts";
import { findDamage, writeManifest } from "./manifest.ts";

const NAME = /^step-(\d{6,})$/;
const REPLACED = ".tmp-old-"; // + the name of a checkpoint that is just being replaced by a new one of the same step

export interface FoundCheckpoint {
  step: number;
  dir: string;
  // biome-ignore lint/suspicious/noExplicitAny: the state is whatever JSON the trainer saved
  state: any;
  /** One sentence for each newer checkpoint that was damaged and passed over. */
  skipped: string[];
}

export function checkpointName(step: number): string {
  return `step-${String(step).padStart(6, "0")}`;
}

/**
 * Saves a checkpoint below `root`: `write(dir)` puts the models and optimizers into an empty folder, the rest is done here.
 * Whatever fails, and whenever the process dies, the checkpoints saved before stay as they were.
 * @returns the folder of the new checkpoint
 * @throws PrimekitError ERR_IO (full disk, unwritable folder)
 */
export async function saveCheckpoint(root: string, step: number, state: object, write: (dir: string) => Promise<void>, keep: number): Promise<string> {
  const target = join(root, checkpointName(step));
  const beside = join(root, `.tmp-${checkpointName(step)}`);
  try {
    await mkdir(root, { recursive: true });
    await rm(beside, { recursive: true, force: true });
    await mkdir(beside);
    await write(beside);
    await writeFileAtomic(join(beside, "state.json"), `${JSON.stringify(state)}\n`);
    await writeManifest(beside, step);
    await replaceFolder(beside, target);
    await writeFileAtomic(join(root, "..", "latest"), `checkpoints/${checkpointName(step)}\n`);
    await prune(root, step, keep);
    return target;
  } catch (error) {
    // Best effort: the first error is the one to report, and leftovers are removed at the next start.
    await rm(beside, { recursive: true, force: true }).catch(() => undefined);
    if ((error as { code?: unknown })?.code === "ERR_ABORTED" || (error as { name?: unknown })?.name === "AbortError") throw error;
    throw ioError(`save the checkpoint of step ${step} in ${root}`, error);
  }
}

/** The newest complete checkpoint, or undefined when there is none at all. Throws ERR_CHECKPOINT when all are damaged. */
export async function findNewest(root: string): Promise<FoundCheckpoint | undefined> {
  const skipped: string[] = [];
  for (const step of (await listSteps(root)).reverse()) {
    const dir = join(root, checkpointName(step));
    const damage = await withIo(`read the checkpoint ${dir}`, () => findDamage(dir));
    if (damage === undefined) {
      const state = await withIo(`read ${join(dir, "state.json")}`, async () => JSON.parse(await readFile(join(dir, "state.json"), "utf8")));
      return { step, dir, state, skipped };
    }
    skipped.push(`The checkpoint ${dir} is damaged (${damage}).`);
  }
  if (skipped.length > 0) throw new PrimekitError("ERR_CHECKPOINT", `No usable checkpoint is left in ${root}. ${skipped.join(" ")}`);
  return undefined;
}

/** Steps that have a checkpoint folder, complete or not, in ascending order. */
export async function listSteps(root: string): Promise<number[]> {
  const names = await readdir(root).catch(() => [] as string[]); // no folder yet: no checkpoints
  const steps = names.flatMap((name) => NAME.exec(name)?.[1] ?? []).map(Number);
  return steps.sort((a, b) => a - b);
}

/** Removes what a killed process left half-written in `dir` (names starting with `.tmp-`); returns their names. */
export async function removeLeftovers(dir: string): Promise<string[]> {
  const names = (await readdir(dir).catch(() => [] as string[])).filter((name) => name.startsWith(".tmp-"));
  for (const name of names) {
    const target = join(dir, name.slice(REPLACED.length));
    // Killed between the two renames of a replacement: the replaced checkpoint is still the newest complete one.
    const bringBack = name.startsWith(REPLACED) && !existsSync(target);
    await withIo(`remove ${join(dir, name)}`, () => (bringBack ? rename(join(dir, name), target) : rm(join(dir, name), { recursive: true, force: true })));
  }
  return names;
}

// --- internal ---

async function replaceFolder(from: string, to: string): Promise<void> {
  const old = join(from, "..", `${REPLACED}${basename(to)}`);
  await rm(old, { recursive: true, force: true });
  await rename(to, old).catch((error) => {
    if (error.code !== "ENOENT") throw error; // there is no earlier one of this step, as nearly always
  });
  await rename(from, to);
  await flush(join(to, ".."));
  await rm(old, { recursive: true, force: true });
}

async function prune(root: string, newest: number, keep: number): Promise<void> {
  const steps = await listSteps(root);
  // Later steps than the newest exist only after falling back from a damaged one: out of the way, but not deleted.
  for (const step of steps.filter((s) => s > newest)) {
    const aside = join(root, `abandoned-${checkpointName(step)}`);
    await rm(aside, { recursive: true, force: true });
    await rename(join(root, checkpointName(step)), aside);
  }
  const old = steps.filter((s) => s <= newest).slice(0, -Math.max(1, keep));
  for (const step of old) {
    // Renamed first, so that a kill in the middle of the removal leaves no half checkpoint under its real name.
    const doomed = join(root, `.tmp-doomed-${checkpointName(step)}`);
    await rename(join(root, checkpointName(step)), doomed);
    await rm(doomed, { recursive: true, force: true });
  }
}
