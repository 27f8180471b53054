// Which files a source stands for, and what is in them.
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { PrimekitError } from "../../errors.ts";
import type { Format } from "./types.ts";

const ENDINGS: Record<string, Format> = { jsonl: "jsonl", ndjson: "jsonl", json: "json", csv: "csv", tsv: "csv", parquet: "parquet" };
const NO_DATA = /^(dataset_infos?|dataset_dict|state|config|package|tsconfig)\.json$/; // what dataset folders hold beside data

/** The format of a file by its name; undefined when the name says nothing. A .gz around a format counts as that format (Parquet packs itself). */
export function formatOf(file: string): Format | undefined {
  const [, ending, gz] = /\.([a-z]+)(\.gz)?$/.exec(basename(file).toLowerCase()) ?? [];
  const format = ENDINGS[ending];
  return gz && format === "parquet" ? undefined : format;
}

/**
 * The data files of a source: the file itself, or those below a directory in the order of their paths.
 * Throws ERR_IO when there is nothing there and ERR_DATA when a directory holds no data or more than one format.
 */
export async function listShards(source: string, format?: Format): Promise<{ file: string; format: Format }[]> {
  const found = await stat(source).catch((cause) => {
    throw new PrimekitError("ERR_IO", `There is no file or directory ${source}.`, { cause });
  });
  if (!found.isDirectory()) {
    const known = format ?? formatOf(source);
    if (!known) throw new PrimekitError("ERR_DATA", `The name of ${source} does not say what it holds; known are ${endings()}.`);
    return [{ file: source, format: known }];
  }
  const files = await filesBelow(source).catch((cause) => {
    throw new PrimekitError("ERR_IO", `The directory ${source} cannot be read: ${(cause as Error).message}.`, { cause });
  });
  const shards = files.flatMap((file) => {
    const own = NO_DATA.test(basename(file)) ? undefined : formatOf(file);
    return own ? [{ file, format: format ?? own }] : [];
  });
  const formats = [...new Set(shards.map((shard) => shard.format))];
  if (shards.length === 0) throw new PrimekitError("ERR_DATA", `The directory ${source} holds no data files; known are ${endings()}.`);
  if (formats.length > 1) throw new PrimekitError("ERR_DATA", `The directory ${source} holds files of several formats (${formats.join(", ")}); name one file.`);
  return shards;
}

// --- internal ---

function endings(): string {
  return `${Object.keys(ENDINGS)
    .map((ending) => `.${ending}`)
    .join(", ")} (all but .parquet also with .gz)`;
}

/** Files below a directory, hidden ones left out, in the order of their paths; links are followed, as in a hub's snapshot folders. */
async function filesBelow(dir: string): Promise<string[]> {
  const names = (await readdir(dir)).filter((name) => !name.startsWith(".")).sort();
  const files: string[] = [];
  for (const name of names) {
    const path = join(dir, name);
    if ((await stat(path)).isDirectory()) files.push(...(await filesBelow(path)));
    else files.push(path);
  }
  return files;
}
