// Dataset: the rows of a data file or directory, read through once, then at random; neither rows nor files are held in memory.
import { basename, relative } from "node:path";
import { PrimekitError, rangeError } from "../errors.ts";
import { questionHash, SmallestHashes } from "./dataset/held_out.ts";
import { type DatasetRow, makeRow, type Needed, reasonOf } from "./dataset/row.ts";
import { Shard, type ShardRow } from "./dataset/shard.ts";
import { filesOfSplit } from "./dataset/splits.ts";
import { defaultCacheDir } from "./dataset/spool.ts";
import { checkMapping, chooseMapping, type MappingOption, type MapRow } from "./mappings/index.ts";
import type { BadRow, Format } from "./records/types.ts";

export type { DatasetRow } from "./dataset/row.ts";

export interface DatasetOptions {
  /** A name, field paths or a function (see chooseMapping); default "auto". Must give the same for the same row: rows are mapped again when they are read. */
  mapping?: MappingOption;
  format?: Format;
  /** Of a directory: files named "train…", "validation…", "test…". Default: the training files where names tell them. */
  split?: string;
  /** Rows that lack these are bad. Default: none is needed. */
  needs?: readonly Needed[];
  /** Largest share of bad rows; default 0.02. */
  maxBadShare?: number;
  /** False drops a row (counted as `dropped`): for prompts that are too long. */
  accept?: (row: DatasetRow) => boolean;
  /** Number of rows to hold out: those of the smallest question hashes. Default 0. */
  holdOut?: number;
  /** Rows that ask one of these questions (questionHash) are left out, counted as `excluded`. */
  exclude?: ReadonlySet<number>;
  /** Where formats without random access are rewritten; default $PRIMEKIT_CACHE or ~/.cache/primekit. */
  cacheDir?: string;
  signal?: AbortSignal;
  onProgress?: (rows: number) => void;
}

export interface DatasetReport {
  source: string;
  files: number;
  mapping: string; // its name
  rows: number; // read
  bad: number;
  dropped: number; // by `accept`
  excluded: number; // by `exclude`, or as doubles of a held-out question
  heldOut: number;
  kept: number; // rows of the dataset
  badRows: BadRow[]; // the first hundred
}

const LISTED = 100;
const FIRST_LOOK = 1000; // rows after which a dataset of bad rows only is given up

export class Dataset {
  readonly report: Readonly<DatasetReport>;
  /** The rows held out, at most options.holdOut; none of their questions is among the others. */
  readonly heldOut: readonly DatasetRow[];
  readonly #shards: readonly Shard[];
  readonly #before: number[]; // [shards] rows before the shard
  readonly #read: (record: Record<string, unknown>, shard: Shard, line: number) => DatasetRow;

  private constructor(scan: DatasetScan, heldOut: readonly DatasetRow[]) {
    this.#shards = scan.shards;
    this.#read = (record, shard, line) => scan.makeRow(record, shard, line);
    this.heldOut = heldOut;
    let before = 0;
    this.#before = scan.shards.map((shard) => {
      before += shard.index.length;
      return before - shard.index.length;
    });
    this.report = { ...scan.report, kept: before };
  }

  /**
   * Reads a file or directory (see readRecords) through once: maps and checks every row, counts, and indexes the good ones (about a byte a line).
   * Throws ERR_DATA when more than maxBadShare of the rows are bad or none is left, ERR_CONFIG for a mapping that does not exist, and what reading throws.
   */
  static async open(source: string, options: DatasetOptions = {}): Promise<Dataset> {
    checkMapping(options.mapping ?? "auto");
    const scan = new DatasetScan(source, options);
    try {
      await scan.run();
      return new Dataset(scan, scan.holdOut());
    } catch (error) {
      for (const shard of scan.shards) shard.close();
      throw error;
    }
  }

  get length(): number {
    return this.report.kept;
  }

  /** The row at an index, 0 <= index < length, read from its file. Throws ERR_DATA when the file was changed meanwhile. */
  at(index: number): DatasetRow {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.length) throw rangeError("index", `an integer in 0 .. ${this.length - 1}`, index);
    let i = this.#before.length - 1;
    while (this.#before[i] > index) i--;
    const { line, record } = this.#shards[i].at(index - this.#before[i]);
    return this.#read(record, this.#shards[i], line);
  }

  /** Closes the files; rows can still be read, which opens them again. */
  close(): void {
    for (const shard of this.#shards) shard.close();
  }
}

// --- internal ---

/** The one pass over the data. */
class DatasetScan {
  readonly shards: Shard[] = [];
  readonly report: DatasetReport;
  readonly #options: DatasetOptions;
  readonly #held: SmallestHashes<{ shard: Shard; row: number; place: number }>;
  #map: MapRow | undefined;

  constructor(source: string, options: DatasetOptions) {
    this.#options = options;
    this.#held = new SmallestHashes(options.holdOut ?? 0);
    this.report = { source, files: 0, mapping: "", rows: 0, bad: 0, dropped: 0, excluded: 0, heldOut: 0, kept: 0, badRows: [] };
  }

  async run(): Promise<void> {
    const { split, format, cacheDir = defaultCacheDir(), signal, maxBadShare = 0.02 } = this.#options;
    const { report } = this;
    for (const { file, format: own } of await filesOfSplit(report.source, split, format)) {
      const shard = await Shard.open(file, own, cacheDir, signal);
      this.shards.push(shard);
      await shard.scan((row, place) => this.#visit(row, shard, place), signal);
    }
    report.files = this.shards.length;
    if (report.bad > maxBadShare * report.rows) throw this.#tooManyBad(`more than the share of ${maxBadShare} that may be`);
    if (this.shards.every((shard) => shard.index.length === 0)) {
      const why = report.dropped > 0 ? `: all ${report.dropped} good ones were dropped as too long` : "";
      throw new PrimekitError("ERR_DATA", `${report.source} holds no rows that can be used${why}.`);
    }
  }

  /** Takes the held-out rows out of the index. */
  holdOut(): DatasetRow[] {
    const groups = this.#held.groups();
    const rows = groups.map(([{ shard, row }]) => {
      const { line, record } = shard.at(row);
      return this.makeRow(record, shard, line);
    });
    for (const shard of this.shards) shard.index.remove(groups.flat().flatMap((held) => (held.shard === shard ? [held.place] : [])));
    this.report.heldOut = rows.length;
    this.report.excluded += groups.flat().length - rows.length;
    if (groups.length > 0 && this.shards.every((shard) => shard.index.length === 0))
      throw new PrimekitError("ERR_DATA", `${this.report.source} has only ${rows.length} rows that can be used, and all would be held out; hold out fewer.`);
    return rows;
  }

  makeRow(record: Record<string, unknown>, shard: Shard, line: number): DatasetRow {
    const name = shard.file === this.report.source ? basename(shard.file) : relative(this.report.source, shard.file);
    return makeRow(this.#map as MapRow, record, { name, file: shard.file, line }, this.#options.needs ?? []);
  }

  /** Whether a row is part of the dataset; `place` is its line in the shard's lines. */
  #visit(found: ShardRow, shard: Shard, place: number): boolean {
    const { report } = this;
    const { accept, exclude, onProgress } = this.#options;
    report.rows++;
    if (report.rows % 10_000 === 0) onProgress?.(report.rows);
    const row = "record" in found ? this.#tryRow(found.record, shard, found.line) : found.reason;
    if (typeof row === "string") return this.#addBad({ file: shard.file, line: found.line, reason: row });
    if (accept && !accept(row)) {
      report.dropped++;
      return false;
    }
    if (exclude || this.#options.holdOut) {
      const hash = questionHash(row);
      if (exclude?.has(hash)) {
        report.excluded++;
        return false;
      }
      this.#held.offer(hash, { shard, row: shard.index.length, place });
    }
    return true;
  }

  #tryRow(record: Record<string, unknown>, shard: Shard, line: number): DatasetRow | string {
    if (!this.#map) {
      const chosen = chooseMapping(this.#options.mapping ?? "auto", record);
      this.#map = chosen.map;
      this.report.mapping = chosen.name;
    }
    try {
      return this.makeRow(record, shard, line);
    } catch (error) {
      return reasonOf(error);
    }
  }

  #addBad(row: BadRow): false {
    const { report } = this;
    report.bad++;
    if (report.badRows.length < LISTED) report.badRows.push(row);
    if (report.bad === FIRST_LOOK && report.rows === FIRST_LOOK) throw this.#tooManyBad("and these are the first");
    return false;
  }

  #tooManyBad(why: string): PrimekitError {
    const { source, bad, rows, badRows } = this.report;
    const shown = badRows.slice(0, 3).map(({ file, line, reason }) => `\n  ${file}:${line}: ${reason}`);
    return new PrimekitError("ERR_DATA", `${bad} of ${rows} rows of ${source} are bad, ${why}:${shown.join("")}${bad > 3 ? "\n  …" : ""}`);
  }
}
