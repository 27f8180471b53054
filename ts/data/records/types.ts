// What the readers hand out, and what they say of rows they cannot read.

export interface SourceRecord {
  record: Record<string, unknown>;
  file: string;
  /** Line (from 1) in line formats, number of the row (from 1) in the others. */
  line: number;
}

export interface BadRow {
  file: string;
  line: number;
  reason: string; // one sentence
}

export type Format = "jsonl" | "json" | "csv" | "parquet";

export interface ReadOptions {
  /** Of a file: instead of what its name says. Of a directory: the files of this format alone. */
  format?: Format;
  /** Told of every row that is skipped because it cannot be read. */
  onBadRow?: (row: BadRow) => void;
  signal?: AbortSignal;
}

/** A reader of one file: rows one after the other, at most a piece of the file in memory. */
export type Reader = (file: string, options: ReadOptions) => AsyncIterable<SourceRecord>;

/** A value as a record, or what it is instead. */
export function asRecord(value: unknown): { record: Record<string, unknown> } | { reason: string } {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { record: value as Record<string, unknown> };
  const kind = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
  return { reason: `The row is ${kind}, not an object.` };
}
