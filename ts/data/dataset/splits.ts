// Datasets on the hub keep training, validation and test rows in files of one folder; training must never take the others along.
import { basename, dirname, relative } from "node:path";
import { PrimekitError } from "../../errors.ts";
import { type DataFile, listDataFiles, ofOneFormat } from "../records/shards.ts";
import type { Format } from "../records/types.ts";

const NAMES: Record<string, string> = { training: "train", testing: "test", valid: "validation", val: "validation", dev: "validation" };
const SPLIT = /(?:^|[/_.-])(train(?:ing)?|test(?:ing)?|val(?:id(?:ation)?)?|dev)(?=[/_.-]|$)/i;

/**
 * The files of a source that belong to a split: those named so. Of a list of splits, the first that is there, or all files where names tell none;
 * without a split, the training files where names tell them, else all. What is there in several formats is taken in one (see ofOneFormat).
 * Throws what listShards throws, and ERR_DATA when nothing has that name or the split lies in several folders (configurations of a hub dataset).
 */
export async function filesOfSplit(source: string, split?: string | readonly string[], format?: Format): Promise<DataFile[]> {
  const shards = await listDataFiles(source, format);
  if (shards.length === 1 && shards[0].file === source) return shards;
  const named = shards.map((shard) => ({ shard, split: splitOf(relative(source, shard.file)) }));
  const known = [...new Set(named.flatMap((entry) => entry.split ?? []))];
  const wanted = wantedSplit(split, known);
  if (wanted === undefined) return ofOneFormat(source, shards);
  const ofSplit = named.filter((entry) => entry.split === wanted).map(({ shard }) => shard);
  if (ofSplit.length === 0)
    throw new PrimekitError("ERR_DATA", `The directory ${source} has no files of the split ${wanted}; there are ${known.join(", ") || "no splits"}.`);
  const taken = ofOneFormat(source, ofSplit);
  const folders = [...new Set(taken.map(({ file }) => dirname(file)))];
  if (folders.length > 1 && taken.every(({ file }) => splitOf(basename(file)) === wanted))
    throw new PrimekitError(
      "ERR_DATA",
      `The directory ${source} has files of ${wanted} in several folders (${folders.map((f) => relative(source, f)).join(", ")}); name one of these folders.`,
    );
  return taken;
}

// --- internal ---

function wantedSplit(split: string | readonly string[] | undefined, known: readonly string[]): string | undefined {
  if (typeof split === "string") return NAMES[split] ?? split;
  if (known.length === 0) return undefined;
  return split ? (split.find((name) => known.includes(name)) ?? split[0]) : known.includes("train") ? "train" : undefined;
}

function splitOf(path: string): string | undefined {
  const found = SPLIT.exec(path)?.[1].toLowerCase();
  return found && (NAMES[found] ?? found);
}
