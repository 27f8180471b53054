// Log-probs of a model that does not change, computed once: in blocks, kept on disk under a name made of the model and the block's tokens.

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Model } from "../model.ts";
import { responseOffsets } from "../rollout/pack.ts";
import { type ScoreOptions, scoreRows } from "../rollout/score.ts";
import type { Row } from "../rollout/types.ts";
import { checksum, withIo, writeFileAtomic } from "../run/io.ts";

const BLOCK_ROWS = 256;
const DIGEST_BYTES = 32; // SHA-256 of the values, in front of them

export interface LogprobCache {
  dir: string;
  modelId: string; // of modelIdentity()
}

export interface CachedScoreOptions extends Omit<ScoreOptions, "temperature"> {
  cache?: LogprobCache;
  onProgress?: (done: number, total: number) => void; // rows
  onWarning?: (message: string) => void;
}

/**
 * The model's log-probs [N] of all rows, along responseOffsets(rows). With a cache, blocks found on disk are read and new ones kept, so that an
 * interrupted computation goes on where it was and a damaged file is computed again. Throws ERR_IO when the folder cannot be written.
 */
export async function cachedLogprobs(model: Pick<Model, "logprobs"> & { dtype?: string }, rows: readonly Row[], o: CachedScoreOptions): Promise<Float32Array> {
  const offsets = responseOffsets(rows);
  const all = new Float32Array(offsets[rows.length]);
  for (let begin = 0; begin < rows.length; begin += BLOCK_ROWS) {
    o.signal?.throwIfAborted();
    const block = rows.slice(begin, begin + BLOCK_ROWS);
    const size = offsets[begin + block.length] - offsets[begin];
    const file = o.cache && join(o.cache.dir, `${blockKey(o.cache.modelId, model.dtype ?? "", block)}.f32`);
    const found = file && (await readBlock(file, size, o.onWarning));
    const values = found || (await scoreRows(model, block, { maxTokensPerBatch: o.maxTokensPerBatch, signal: o.signal }));
    if (file && !found) await writeBlock(file, values);
    all.set(values, offsets[begin]);
    o.onProgress?.(begin + block.length, rows.length);
  }
  return all;
}

/** What tells one model directory from another: a digest of its configuration and weights. */
export async function modelIdentity(dir: string): Promise<string> {
  const names = (await withIo(`read ${dir}`, () => readdir(dir))).filter((name) => name === "config.json" || name.endsWith(".safetensors")).sort();
  const hash = createHash("sha256");
  for (const name of names) hash.update(`${name} ${(await withIo(`read ${join(dir, name)}`, () => checksum(join(dir, name)))).sha256}\n`);
  return hash.digest("hex");
}

// --- internal ---

function blockKey(modelId: string, dtype: string, rows: readonly Row[]): string {
  const hash = createHash("sha256").update(`primekit log-probs 1 ${modelId} ${dtype}\n`);
  for (const { prompt, response } of rows) {
    hash.update(Int32Array.of(prompt.length, response.length)).update(prompt).update(response);
  }
  return hash.digest("hex");
}

async function readBlock(file: string, size: number, onWarning: CachedScoreOptions["onWarning"]): Promise<Float32Array | undefined> {
  const bytes = await withIo(`read ${file}`, () =>
    readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined; // not computed yet
      throw error;
    }),
  );
  if (!bytes) return undefined;
  const data = bytes.subarray(DIGEST_BYTES);
  if (data.length === 4 * size && digest(data).equals(bytes.subarray(0, DIGEST_BYTES))) return new Float32Array(Uint8Array.from(data).buffer);
  onWarning?.(`The cached log-probs in ${file} are damaged; they are computed again.`);
  return undefined;
}

async function writeBlock(file: string, values: Float32Array): Promise<void> {
  const data = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  await withIo(`create ${join(file, "..")}`, () => mkdir(join(file, ".."), { recursive: true }));
  await writeFileAtomic(file, Buffer.concat([digest(data), data]));
}

function digest(data: Uint8Array): Buffer {
  return createHash("sha256").update(data).digest();
}
