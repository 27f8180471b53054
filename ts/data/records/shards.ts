// Which files a source stands for, and what is in them.
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
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

/** A data file, and what is in it. */
export interface DataFile {
  file: string;
  format: Format;
}

/**
 * The data files of a source in one format: the file itself, or those below a directory in the order of their paths (see ofOneFormat).
 * Throws ERR_IO when there is nothing there and ERR_DATA when a directory holds no data, or several formats and no telling which to take.
 */
export async function listShards(source: string, format?: Format): Promise<DataFile[]> {
  return ofOneFormat(source, await listDataFiles(source, format));
}

/** The same in whatever formats they are. `format`: of a file, what is in it; of a directory, which of its files are meant. */
export async function listDataFiles(source: string, format?: Format): Promise<DataFile[]> {
  const found = await stat(source).catch((cause) => {
    throw new PrimekitError("ERR_IO", `There is no file or directory ${source}.`, { cause });
  });
  if (!found.isDirectory()) {
    const known = format ?? formatOf(source);
    if (!known) throw new PrimekitError("ERR_DATA", `The name of ${source} does not say what it holds; known are ${endings()}.`);
    return [{ file: source, format: known }];
  }
  const names = await filesBelow(source).catch((cause) => {
    throw new PrimekitError("ERR_IO", `The directory ${source} cannot be read: ${(cause as Error).message}.`, { cause });
  });
  const files = names.flatMap((file) => {
    const own = NO_DATA.test(basename(file)) ? undefined : formatOf(file);
    return own ? [{ file, format: own }] : [];
  });
  if (files.length === 0) throw new PrimekitError("ERR_DATA", `The directory ${source} holds no data files; known are ${endings()}.`);
  const wanted = files.filter((found) => format === undefined || found.format === format);
  if (wanted.length === 0) throw new PrimekitError("ERR_DATA", `The directory ${source} holds no ${format} files; there are ${formatsOf(files).join(", ")}.`);
  return wanted;
}

/**
 * Of files in several formats those of the best one (Parquet, JSON Lines, CSV, JSON), where their names say that the others hold the same again:
 * train.jsonl beside data/train-00000-of-00001.parquet. Throws ERR_DATA where they do not, for then rows would go missing.
 */
export function ofOneFormat(source: string, files: readonly DataFile[]): DataFile[] {
  const best = BEST_FIRST.find((format) => files.some((found) => found.format === format));
  const taken = files.filter(({ format }) => format === best);
  const names = new Set(taken.map(({ file }) => contentName(relative(source, file))));
  const other = files.find(({ file }) => !names.has(contentName(relative(source, file))));
  if (other === undefined || taken.length === files.length) return taken;
  const [here, there] = [taken[0], other].map(({ file }) => relative(source, file));
  throw new PrimekitError(
    "ERR_DATA",
    `The directory ${source} holds files of several formats (${formatsOf(files).join(", ")}), and ${there} may be other data than ${here}; name one of them, or a format (data.format; of sft: format).`,
  );
}

// --- internal ---

const BEST_FIRST: readonly Format[] = ["parquet", "jsonl", "csv", "json"];

/** What a file is a copy of, by its path: without its ending, number of a shard, and folders named after a format. */
function contentName(path: string): string {
  const folders = dirname(path)
    .split(sep)
    .filter((name) => !/^(\.|data|parquet|jsonl?|csv|tsv)$/i.test(name));
  const stem = basename(path).replace(/(\.[a-z]+)(\.gz)?$/i, "");
  return [...folders, stem.replace(/-\d+-of-\d+$/, "")].join("/").toLowerCase();
}

function formatsOf(files: readonly DataFile[]): Format[] {
  return [...new Set(files.map(({ format }) => format))];
}

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
