// One file from the hub into the cache: resumed where it broke off, verified, then renamed.
// (The library's downloadFile() starts over after a cut, and neither it nor its cache looks at checksums.)
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { PrimekitError } from "../errors.ts";
import type { Repo } from "./failures.ts";
import { backOff, request, whileAlive } from "./http.ts";
import { claim, complete, discard, release } from "./partial_file.ts";
import type { HubSettings } from "./settings.ts";

const FRUITLESS_TRIES = 5;

export interface RemoteFile {
  path: string; // in the repository
  size: number; // bytes
  oid: string; // checksum, and the blob's name: SHA-256 of an LFS file, git's SHA-1 of any other
}

/**
 * Downloads `file` of a commit to `blob` unless it is there. `onBytes` gets the number of bytes that are there, of this file.
 * Throws what request() throws, ERR_HUB_UNAVAILABLE also where it ends early every time, ERR_HUB_CHECKSUM (and removes the file); what came until then stays for the next time.
 */
export async function downloadBlob(
  blob: string,
  file: RemoteFile,
  commit: string,
  repo: Repo,
  settings: HubSettings,
  onBytes: (done: number) => void,
): Promise<void> {
  const partial = await claim(blob, settings.signal);
  if (partial !== undefined) {
    try {
      const sum = await fill(partial, file, fileUrl(repo, commit, file.path, settings), repo, settings, onBytes);
      if (sum !== file.oid) {
        const text = `The file ${file.path} of ${repo.name} came with a wrong checksum (${sum}, expected ${file.oid}); it was removed. Try again.`;
        throw new PrimekitError("ERR_HUB_CHECKSUM", text);
      }
      await complete(blob, partial);
    } catch (error) {
      if ((error as PrimekitError).code === "ERR_HUB_CHECKSUM") await discard(partial);
      else await release(blob, partial);
      throw error;
    }
  }
  onBytes(file.size);
}

// --- internal ---

function fileUrl(repo: Repo, commit: string, path: string, { endpoint }: HubSettings): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}/${repo.type === "dataset" ? "datasets/" : ""}${repo.name}/resolve/${commit}/${encoded}`;
}

/** Fetches what is missing of a file and returns the checksum of the whole. */
async function fill(path: string, file: RemoteFile, url: string, repo: Repo, settings: HubSettings, onBytes: (done: number) => void): Promise<string> {
  const handle = await open(path, "r+");
  try {
    let { hash, position } = await startFrom(handle, file, settings);
    for (let fruitless = 0; position < file.size; ) {
      onBytes(position);
      const before = position;
      const headers = { "accept-encoding": "identity", ...(position > 0 ? { range: `bytes=${position}-` } : {}) };
      const response = await request(url, { headers }, repo, settings, file.path);
      if (position > 0 && response.status === 200) [hash, position] = [newHash(file), 0]; // the server sends the whole file again
      const cause = await drain(response, settings, async (bytes) => {
        if (position + bytes.length > file.size) throw tooLong(file, repo);
        hash.update(bytes);
        await writeAll(handle, bytes, position);
        position += bytes.length;
        onBytes(position);
      });
      if (position >= file.size) break;
      fruitless = position > before ? 0 : fruitless + 1;
      if (fruitless === FRUITLESS_TRIES) throw endsEarly(file, repo, position, cause);
      await backOff(fruitless + 1, settings);
    }
    await handle.truncate(position); // what a longer earlier try may have left
    await handle.sync();
    return hash.digest("hex");
  } finally {
    await handle.close();
  }
}

/** The checksum so far of what is there already. */
async function startFrom(handle: FileHandle, file: RemoteFile, { signal }: HubSettings): Promise<{ hash: Hash; position: number }> {
  const { size } = await handle.stat();
  const hash = newHash(file);
  if (size > file.size) return { hash, position: 0 };
  const buffer = new Uint8Array(1 << 20);
  let position = 0;
  while (position < size) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, size - position), position);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  return { hash, position };
}

function newHash({ oid, size }: RemoteFile): Hash {
  return oid.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

/** Reads a body to its end, or to where it breaks off; returns what broke it. A fault of `take` is thrown, and so is the signal's reason. */
async function drain(response: Response, settings: HubSettings, take: (bytes: Uint8Array) => Promise<void>): Promise<unknown> {
  const reader = response.body?.getReader();
  if (!reader || !response.ok) return undefined; // 416: the server has no more bytes
  return whileAlive(settings, async (signal, alive) => {
    let silent: unknown;
    signal.addEventListener("abort", () => {
      silent = signal.reason;
      reader.cancel().catch(() => undefined); // its only purpose is to end the read below
    });
    for (;;) {
      let piece: { done: boolean; value?: Uint8Array };
      try {
        piece = await reader.read();
      } catch (error) {
        settings.signal?.throwIfAborted();
        return error;
      }
      settings.signal?.throwIfAborted();
      alive();
      if (piece.done || !piece.value) return silent;
      try {
        await take(piece.value);
      } catch (error) {
        await reader.cancel();
        throw error;
      }
    }
  });
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
}

function tooLong(file: RemoteFile, repo: Repo): PrimekitError {
  return new PrimekitError("ERR_HUB_CHECKSUM", `The hub sends more of ${file.path} of ${repo.name} than the ${file.size} bytes that it lists.`);
}

function endsEarly(file: RemoteFile, repo: Repo, position: number, cause: unknown): PrimekitError {
  const reason = cause instanceof Error ? ` (${cause.message.replace(/\.$/, "")})` : "";
  const text = `The file ${file.path} of ${repo.name} keeps breaking off after ${position} of ${file.size} bytes${reason}; what came is kept, and the next try goes on from there.`;
  return new PrimekitError("ERR_HUB_UNAVAILABLE", text, { cause });
}
