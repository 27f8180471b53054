// Dataset: the rows of a data file or directory, read through once, then at random; neither rows nor files are held in memory.
import { rangeError } from "../errors.ts";
import type { DatasetRow } from "./dataset/row.ts";
import { DatasetScan } from "./dataset/scan.ts";
import type { Shard } from "./dataset/shard.ts";
import type { DatasetOptions, DatasetReport } from "./dataset/types.ts";
import { checkMapping } from "./mappings/index.ts";

export type { DatasetRow } from "./dataset/row.ts";
export type { DatasetOptions, DatasetReport } from "./dataset/types.ts";

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
