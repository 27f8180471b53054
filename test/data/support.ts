// Real data beside the checkout (../shared), where it is there; and files made for a test.
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { readRecords } from "../../ts/data/records/read_records.ts";
import type { BadRow, ReadOptions, SourceRecord } from "../../ts/data/records/types.ts";

const SHARED = resolve(import.meta.dir, "../../../shared");
export const FIXTURES = resolve(import.meta.dir, "../fixtures");

/** Whether ../shared has a path; prints one line when it has not, so that a skipped test shows. */
export function hasShared(path: string): boolean {
  const present = existsSync(join(SHARED, path));
  if (!present) console.log(`skipped: ../shared/${path} is not here.`);
  return present;
}

export function shared(path: string): string {
  return join(SHARED, path);
}

/** A folder for the files of a test file; `files` are written by path, texts or bytes. */
export class Scratch {
  dir = "";
  async open(): Promise<void> {
    this.dir = await mkdtemp(join(tmpdir(), "primekit-data-"));
  }
  async write(path: string, content: string | Uint8Array): Promise<string> {
    const file = join(this.dir, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
    return file;
  }
  async close(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** Everything a source gives: rows, and the bad ones. */
export async function readAll(source: string, options: ReadOptions = {}): Promise<{ rows: SourceRecord[]; bad: BadRow[] }> {
  const rows: SourceRecord[] = [];
  const bad: BadRow[] = [];
  for await (const row of readRecords(source, { ...options, onBadRow: (row) => bad.push(row) })) rows.push(row);
  return { rows, bad };
}
