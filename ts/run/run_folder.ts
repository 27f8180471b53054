// RunFolder: runs/NAME/{config.json, metrics.jsonl, rollouts/, checkpoints/step-NNNNNN/, latest}.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { PrimekitError } from "../errors.ts";
import { type FoundCheckpoint, findNewest, removeLeftovers, saveCheckpoint } from "./checkpoints.ts";
import { flush, withIo, writeFileAtomic } from "./io.ts";
import { releaseLock, takeLock } from "./lock.ts";
import { appendRow, filterRows, type MetricsRow, readRows, removeRolloutsAfter } from "./metrics.ts";

export type { FoundCheckpoint, MetricsRow };

export interface RunFolderOptions {
  /** How many checkpoints stay; older ones are removed after each save. Default 2. */
  keep?: number;
}

/** A run's folder. One process at a time may hold it (a lock says who); `close()` frees it, and so does the process's end. */
export class RunFolder {
  readonly dir: string;
  // biome-ignore lint/suspicious/noExplicitAny: the configuration of whichever trainer made the run; it validates it again
  readonly config: any;
  readonly keep: number;

  private constructor(dir: string, config: object, options: RunFolderOptions) {
    this.dir = dir;
    this.config = config;
    this.keep = options.keep ?? 2;
  }

  /**
   * Makes `root/name` and writes config.json.
   * @throws PrimekitError ERR_IO when a run of that name exists, or the folder cannot be written
   */
  static async create(root: string, name: string, config: object, options: RunFolderOptions = {}): Promise<RunFolder> {
    if (!/^[\w][\w.+-]*$/.test(name)) {
      throw new PrimekitError("ERR_CONFIG", `A run's name must consist of letters, digits, "_", "-", "+" and ".", but it is ${JSON.stringify(name)}.`);
    }
    const dir = resolve(root, name);
    await withIo(`create the run folder ${dir}`, () => mkdir(dir, { recursive: true }));
    if ((await readdir(dir)).length > 0) {
      throw new PrimekitError("ERR_IO", `The run folder ${dir} exists already: continue it with --resume ${name}, or choose another name.`);
    }
    await takeLock(join(dir, ".lock"), `The run ${dir}`);
    await withIo(`create folders in ${dir}`, async () => {
      await mkdir(join(dir, "rollouts"));
      await mkdir(join(dir, "checkpoints"));
    });
    await writeFileAtomic(join(dir, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
    return new RunFolder(dir, config, options);
  }

  /**
   * Opens an existing run to go on with it; removes what a killed process left half-written.
   * @throws PrimekitError ERR_IO when the folder or its config.json is missing, or another process holds the run
   */
  static async open(dir: string, options: RunFolderOptions = {}): Promise<RunFolder> {
    const path = resolve(dir);
    const config = await RunFolder.readConfig(path);
    await takeLock(join(path, ".lock"), `The run ${path}`);
    await removeLeftovers(path);
    await removeLeftovers(join(path, "checkpoints"));
    return new RunFolder(path, config, options);
  }

  /** The configuration of a run, without opening it. Throws ERR_IO and ERR_CONFIG as open() does. */
  // biome-ignore lint/suspicious/noExplicitAny: see `config`
  static async readConfig(dir: string): Promise<any> {
    const file = join(dir, "config.json");
    return parseConfig(await withIo(`open the run ${dir}`, () => readFile(file, "utf8")), file);
  }

  /** Replaces config.json, for the few options that may change when a run goes on. */
  async writeConfig(config: object): Promise<void> {
    await writeFileAtomic(join(this.dir, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  }

  /** Appends one row to metrics.jsonl. Rows carry their `step`. */
  async appendMetrics(row: MetricsRow): Promise<void> {
    await appendRow(join(this.dir, "metrics.jsonl"), row);
  }

  /** All rows of metrics.jsonl. */
  async readMetrics(): Promise<MetricsRow[]> {
    return readRows(join(this.dir, "metrics.jsonl"));
  }

  /** Writes rollouts/step-NNNNNN.jsonl, one object a line. */
  async writeRollouts(step: number, rows: object[]): Promise<void> {
    await withIo(`create ${join(this.dir, "rollouts")}`, () => mkdir(join(this.dir, "rollouts"), { recursive: true }));
    const name = `step-${String(step).padStart(6, "0")}.jsonl`;
    await writeFileAtomic(join(this.dir, "rollouts", name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }

  /** Saves checkpoints/step-NNNNNN; `write(dir)` puts the models and optimizers into it. Returns its folder. */
  async saveCheckpoint(step: number, state: object, write: (dir: string) => Promise<void>): Promise<string> {
    const metrics = join(this.dir, "metrics.jsonl");
    // A checkpoint that outlives a power cut must not be newer than the metrics it continues.
    if (existsSync(metrics)) await withIo(`flush ${metrics}`, () => flush(metrics));
    return saveCheckpoint(join(this.dir, "checkpoints"), step, state, write, this.keep);
  }

  /** The newest complete checkpoint, with a sentence for every damaged one passed over; undefined when none was saved yet. */
  async newestCheckpoint(): Promise<FoundCheckpoint | undefined> {
    return findNewest(join(this.dir, "checkpoints"));
  }

  /**
   * Drops metrics and rollouts of later steps: call it after loading a checkpoint, with its step. With `evaluated: false` (the checkpoint is from before
   * this step's evaluation, which will be repeated) also the rows of that.
   */
  async truncateMetricsAfter(step: number, { evaluated = true } = {}): Promise<void> {
    await filterRows(join(this.dir, "metrics.jsonl"), (row) => {
      const at = Number(row.step ?? 0);
      return at < step || (at === step && (evaluated || !Object.keys(row).some((name) => name.startsWith("eval/"))));
    });
    await removeRolloutsAfter(join(this.dir, "rollouts"), step);
  }

  /** Lets other processes open the run. */
  async close(): Promise<void> {
    await releaseLock(join(this.dir, ".lock"));
  }
}

/** Names of the runs below `root`, the one changed last first. */
export async function listRuns(root: string): Promise<string[]> {
  const names = await readdir(root).catch(() => [] as string[]); // no folder yet: no runs
  const runs: { name: string; changed: number }[] = [];
  for (const name of names) {
    const changed = await Promise.all(["config.json", "metrics.jsonl", "latest"].map((file) => changedAt(join(root, name, file))));
    if (changed[0] > 0) runs.push({ name, changed: Math.max(...changed) });
  }
  return runs.sort((a, b) => b.changed - a.changed).map((run) => run.name);
}

// --- internal ---

function parseConfig(text: string, file: string): object {
  try {
    const value = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // falls through to the error that names the file
  }
  throw new PrimekitError("ERR_CONFIG", `${file} is not a JSON object, so this run cannot be opened.`);
}

async function changedAt(file: string): Promise<number> {
  return stat(file).then(
    (s) => s.mtimeMs,
    () => 0,
  );
}
