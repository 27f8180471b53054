// What a dataset is opened with, and what it says of itself.
import type { MappingOption } from "../mappings/index.ts";
import type { BadRow, Format } from "../records/types.ts";
import type { DatasetRow, Needed } from "./row.ts";

export interface DatasetOptions {
  /** A name, field paths or a function (see chooseMapping); default "auto". Must give the same for the same row: rows are mapped again when they are read. */
  mapping?: MappingOption;
  /** Of a file: what it holds, when its name does not say it. Of a directory that has several: the files to take. */
  format?: Format;
  /** Of a directory: files named "train…", "validation…", "test…"; of a list, the first there is. Default: the training files where names tell them. */
  split?: string | readonly string[];
  /** Rows that lack these are bad. Default: none is needed. */
  needs?: readonly Needed[];
  /** Largest share of bad rows; default 0.02. */
  maxBadShare?: number;
  /** False drops a row (counted as `dropped`): for prompts that are too long. */
  accept?: (row: DatasetRow) => boolean;
  /** Number of rows to hold out: those of the smallest question hashes, never more than half of all. Default 0. */
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
