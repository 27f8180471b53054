// metrics.jsonl: one JSON object a line, with its step; appended while a run goes on, cut back when it resumes.
import { appendFile, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { withIo, writeFileAtomic } from "./io.ts";

export type MetricsRow = Record<string, number | string>;

export async function appendRow(file: string, row: MetricsRow): Promise<void> {
  await withIo(`write ${file}`, () => appendFile(file, `${JSON.stringify(row)}\n`));
}

/** All rows of the file; a last line that a kill cut off is left out. A missing file has no rows. */
export async function readRows(file: string): Promise<MetricsRow[]> {
  return (await readLines(file)).map((line) => JSON.parse(line) as MetricsRow);
}

/** Drops every row that `keeps` does not keep, so that a resumed run appends exactly what an unbroken one would have. */
export async function filterRows(file: string, keeps: (row: MetricsRow) => boolean): Promise<void> {
  const lines = await readLines(file);
  const kept = lines.filter((line) => keeps(JSON.parse(line) as MetricsRow));
  await writeFileAtomic(file, kept.map((line) => `${line}\n`).join(""));
}

/** Removes rollouts/step-NNNNNN.jsonl of later steps. */
export async function removeRolloutsAfter(dir: string, step: number): Promise<void> {
  const names = await readdir(dir).catch(() => [] as string[]); // no rollouts yet
  for (const name of names) {
    const match = /^step-(\d+)\.jsonl$/.exec(name);
    if (match && Number(match[1]) > step) await withIo(`remove ${join(dir, name)}`, () => rm(join(dir, name)));
  }
}

// --- internal ---

async function readLines(file: string): Promise<string[]> {
  const text = await withIo(`read ${file}`, () =>
    readFile(file, "utf8").catch((error) => {
      if (error.code === "ENOENT") return "";
      throw error;
    }),
  );
  return text.split("\n").slice(0, -1).filter(isJson);
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false; // a torn line: a power cut can leave one in the middle of the file
  }
}
