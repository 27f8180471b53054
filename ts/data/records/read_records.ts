// readRecords: the rows of a data file, or of a directory of shards, one after the other as plain objects.
import { readCsv } from "./csv.ts";
import { readJson } from "./json.ts";
import { readJsonl } from "./jsonl.ts";
import { readParquet } from "./parquet.ts";
import { listShards } from "./shards.ts";
import type { Format, Reader, ReadOptions, SourceRecord } from "./types.ts";

export type { BadRow, Format, ReadOptions, SourceRecord } from "./types.ts";

/**
 * Rows of .jsonl, .json (array, lines, pandas table), .csv, .tsv and .parquet files, the text formats also as .gz; of a directory, all data files in the
 * order of their paths (of what is there in several formats, one). Streams: memory holds a piece of a file (one row group of Parquet). Malformed rows go to `onBadRow` and are skipped.
 * Throws ERR_IO (nothing there), ERR_DATA (a file that is damaged, cut off or of no known format) and ERR_ABORTED.
 */
export async function* readRecords(source: string, options: ReadOptions = {}): AsyncGenerator<SourceRecord> {
  for (const { file, format } of await listShards(source, options.format)) yield* readers[format](file, options);
}

/** The reader of each format. */
export const readers: Record<Format, Reader> = { jsonl: readJsonl, json: readJson, csv: readCsv, parquet: readParquet };
