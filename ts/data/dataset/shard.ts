// One file of a dataset as lines of JSON: the file itself, or its spool. Lines are read in order once, then at random by the index.
import { closeSync, openSync, readSync } from "node:fs";
import { stat } from "node:fs/promises";
import { PrimekitError } from "../../errors.ts";
import { unreadable } from "../records/chunks.ts";
import { parseLine } from "../records/jsonl.ts";
import { readLines } from "../records/lines.ts";
import type { Format } from "../records/types.ts";
import { LineIndex } from "./line_index.ts";
import { spool } from "./spool.ts";

/** A line of the file as the user knows it, with what is on it. */
export type ShardRow = { line: number } & ({ record: Record<string, unknown> } | { reason: string });

export class Shard {
  readonly file: string; // the user's
  readonly index = new LineIndex();
  readonly #lines: string; // the file of JSON lines
  readonly #spooled: boolean;
  #descriptor: number | undefined;

  private constructor(file: string, lines: string) {
    this.file = file;
    this.#lines = lines;
    this.#spooled = lines !== file;
  }

  /** Throws what reading the file throws. */
  static async open(file: string, format: Format, cacheDir: string, signal?: AbortSignal): Promise<Shard> {
    const direct = format === "jsonl" && !file.endsWith(".gz");
    return new Shard(file, direct ? file : await spool(file, format, cacheDir, signal));
  }

  /** Visits every line that is not empty, in order, with its place in the file of lines (from 1); what `visit` returns says whether it is a row. */
  async scan(visit: (row: ShardRow, place: number) => boolean, signal?: AbortSignal): Promise<void> {
    for await (const line of readLines(this.#lines, signal)) {
      const row = this.#parse(line.bytes, line.line);
      this.index.add(line.offset, row !== undefined && visit(row, line.line));
    }
    this.index.close((await stat(this.#lines)).size);
  }

  /** Row k of the index. Throws ERR_DATA when the file was changed since it was scanned. */
  at(k: number): { line: number; record: Record<string, unknown> } {
    const { line, begin, end, inBlock } = this.index.place(k);
    const block = this.#read(begin, end);
    let start = 0;
    for (let i = 0; i < inBlock; i++) start = block.indexOf(10, start) + 1;
    const stop = block.indexOf(10, start);
    const first = line === 1 && block[0] === 0xef ? 3 : 0; // a byte order mark
    const row = this.#parse(block.subarray(start + first, stop < 0 ? block.length : stop), line);
    if (row && "record" in row) return row;
    throw new PrimekitError("ERR_DATA", `The file ${this.#lines} was changed while it was in use: line ${line} no longer holds a row.`);
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  // --- internal ---

  #read(begin: number, end: number): Buffer {
    try {
      this.#descriptor ??= openSync(this.#lines, "r");
      const block = Buffer.allocUnsafe(end - begin);
      return block.subarray(0, readSync(this.#descriptor, block, 0, block.length, begin));
    } catch (cause) {
      throw unreadable(this.#lines, cause);
    }
  }

  #parse(bytes: Buffer, line: number): ShardRow | undefined {
    if (!this.#spooled) {
      const parsed = parseLine({ bytes });
      return parsed && { line, ...parsed };
    }
    const [sourceLine, record, reason] = JSON.parse(bytes.toString("utf8"));
    return record === null ? { line: sourceLine, reason } : { line: sourceLine, record };
  }
}
