// The one pass over a dataset's files: maps, checks, counts, indexes, and chooses what is held out.
import { basename, relative } from "node:path";
import { PrimekitError } from "../../errors.ts";
import { chooseMapping, type MapRow } from "../mappings/index.ts";
import type { BadRow } from "../records/types.ts";
import { questionHash, SmallestHashes } from "./held_out.ts";
import { type DatasetRow, makeRow, reasonOf } from "./row.ts";
import { Shard, type ShardRow } from "./shard.ts";
import { filesOfSplit } from "./splits.ts";
import { defaultCacheDir } from "./spool_cache.ts";
import type { DatasetOptions, DatasetReport } from "./types.ts";

const LISTED = 100;
const FIRST_LOOK = 1000; // rows after which a dataset of bad rows only is given up

export class DatasetScan {
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
    const kept = this.shards.reduce((sum, shard) => sum + shard.index.length, 0);
    const groups = this.#held.groups().slice(0, Math.floor(kept / 2));
    const rows = groups.map(([{ shard, row }]) => {
      const { line, record } = shard.at(row);
      return this.makeRow(record, shard, line);
    });
    for (const shard of this.shards) shard.index.remove(groups.flat().flatMap((held) => (held.shard === shard ? [held.place] : [])));
    this.report.heldOut = rows.length;
    this.report.excluded += groups.flat().length - rows.length;
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
