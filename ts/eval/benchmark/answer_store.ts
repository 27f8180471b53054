// Answers on disk, one JSON line each: what an evaluation sampled and judged is never computed again, whenever it was interrupted.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { appendFile, mkdir, open, readFile, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { PrimekitError } from "../../errors.ts";
import { withIo } from "../../run/io.ts";
import type { Verdict } from "../../verifiers/types.ts";

/** Sample number of the greedy answer. */
export const GREEDY = -1;

export interface StoredAnswer extends Pick<Verdict, "score" | "outcome" | "reason"> {
  problem: number; // index in the benchmark
  id: string; // of the problem
  sample: number; // 0 …, or GREEDY
  text: string;
  tokens: number;
  truncated: boolean; // ended by the length limit
  extracted?: string; // the final answer the verifier found
}

/** A file of JSON lines that only grows, keyed by (problem, sample). */
export class JsonlStore<T extends { problem: number; sample: number }> {
  readonly #file: string;
  readonly #entries = new Map<string, T>();

  private constructor(file: string) {
    this.#file = file;
  }

  /** Opens or starts a store. A last line that a crash cut short is dropped; throws ERR_DATA for any other line that is not an entry. */
  static async open<T extends { problem: number; sample: number }>(file: string): Promise<JsonlStore<T>> {
    const store = new JsonlStore<T>(file);
    await withIo(`open ${file}`, async () => {
      await mkdir(dirname(file), { recursive: true });
      if (!existsSync(file)) return;
      const text = await readFile(file, "utf8");
      const complete = text.slice(0, text.lastIndexOf("\n") + 1);
      if (complete.length < text.length) await truncate(file, Buffer.byteLength(complete));
      complete.split("\n").forEach((line, i) => {
        if (line !== "") store.#keep(parseEntry<T>(line, `${file}, line ${i + 1}`));
      });
    });
    return store;
  }

  get(problem: number, sample: number): T | undefined {
    return this.#entries.get(`${problem} ${sample}`);
  }

  /** Writes entries to the disk before it returns. */
  async add(entries: readonly T[]): Promise<void> {
    if (entries.length === 0) return;
    await withIo(`write ${this.#file}`, async () => {
      await appendFile(this.#file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
      const handle = await open(this.#file, "r");
      await handle.sync().finally(() => handle.close());
    });
    for (const entry of entries) this.#keep(entry);
  }

  #keep(entry: T): void {
    this.#entries.set(`${entry.problem} ${entry.sample}`, entry);
  }
}

/** A short name for everything that answers depend on: equal values, equal name. */
export function keyOf(values: unknown): string {
  return createHash("sha256").update(JSON.stringify(values)).digest("hex").slice(0, 16);
}

// --- internal ---

function parseEntry<T extends { problem: number; sample: number }>(line: string, where: string): T {
  try {
    const entry = JSON.parse(line) as T;
    if (Number.isInteger(entry.problem) && Number.isInteger(entry.sample)) return entry;
  } catch {
    // said below, as for JSON of another kind
  }
  throw new PrimekitError("ERR_DATA", `${where} is not an answer of an evaluation: move the file away to start over.`);
}
