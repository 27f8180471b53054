// Examples from data files: every record through a mapping, with file and line in every error.

import { basename } from "node:path";
import { PrimekitError } from "../../errors.ts";
import { didYouMean } from "../../suggest.ts";
import { readRecords } from "../records/read_records.ts";
import type { PrmExample, SplitRule } from "./example.ts";
import { type PrmMapping, type PrmMappingName, prmMappings } from "./mappings.ts";

export interface ReadPrmOptions {
  mapping?: PrmMappingName | PrmMapping; // default "auto"
  split?: SplitRule; // default "auto"
  separator?: string; // default a blank line
  signal?: AbortSignal;
}

/**
 * The examples of .jsonl, .json, .csv or .parquet files or of a directory of them. Throws ERR_DATA (file, line, what is wrong) for a record that is no
 * example, ERR_CONFIG for an unknown mapping, ERR_IO for a missing file.
 */
export async function* readPrmExamples(source: string, options: ReadPrmOptions = {}): AsyncGenerator<PrmExample> {
  const { mapping = "auto", split = "auto", separator = "\n\n", signal } = options;
  const read = typeof mapping === "function" ? mapping : mappingOf(mapping);
  const onBadRow = ({ file, line, reason }: { file: string; line: number; reason: string }): never => {
    throw new PrimekitError("ERR_DATA", `${basename(file)}:${line}: ${reason}`);
  };
  for await (const { record, file, line } of readRecords(source, { signal, onBadRow })) {
    yield* read(record, `${basename(file)}:${line}`, { split, separator });
  }
}

// --- internal ---

function mappingOf(name: string): PrmMapping {
  const names = Object.keys(prmMappings);
  if (names.includes(name)) return prmMappings[name as PrmMappingName];
  throw new PrimekitError("ERR_CONFIG", `There is no mapping ${JSON.stringify(name)} for PRM data.${didYouMean(name, names)} There are ${names.join(", ")}.`);
}
