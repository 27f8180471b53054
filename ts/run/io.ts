// File operations that survive a crash, and one clear sentence for whatever the file system refuses.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PrimekitError } from "../errors.ts";

const REASONS: Record<string, string> = {
  EACCES: "permission was denied",
  EDQUOT: "the disk quota is used up",
  EEXIST: "it exists already",
  EISDIR: "it is a folder",
  EMFILE: "too many files are open",
  ENOENT: "it does not exist",
  ENOSPC: "the disk is full",
  ENOTDIR: "a part of the path is no folder",
  EPERM: "permission was denied",
  EROFS: "the file system is read-only",
};

/** An ERR_IO error "Cannot <action>: <reason>."; a PrimekitError passes through unchanged. */
export function ioError(action: string, cause: unknown): PrimekitError {
  if (cause instanceof PrimekitError) return cause;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? "";
  const message = cause instanceof Error ? cause.message : String(cause);
  const reason = REASONS[code] ?? message.replace(/\.$/, "");
  return new PrimekitError("ERR_IO", `Cannot ${action}: ${reason}.`, { cause });
}

/** Runs `work` and turns whatever it throws into an ioError that names `action`. */
export async function withIo<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw ioError(action, error);
  }
}

/** Waits until a file's bytes, or a folder's names, are on the disk. */
export async function flush(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

let written = 0; // makes the names of files under way differ

/**
 * Replaces a file as a whole: whoever reads it, even after a crash, sees the old content or the new, never a part. Links are followed; what is no
 * file (/dev/stdout) is written to as it is.
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  await withIo(`write ${path}`, async () => {
    const target = await realpath(path).catch(() => path); // not there yet
    const old = await stat(target).catch(() => undefined);
    if (old && !old.isFile()) return writeFile(target, content);
    const beside = join(dirname(target), `.tmp-${process.pid}-${written++}-${basename(target)}`);
    try {
      const handle = await open(beside, "w");
      try {
        await handle.writeFile(content);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(beside, target);
      await flush(dirname(target));
    } catch (error) {
      await rm(beside, { force: true });
      throw error;
    }
  });
}

/** Hexadecimal SHA-256 of a file, and its size in bytes; reads it in pieces. */
export async function checksum(path: string): Promise<{ size: number; sha256: string }> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(piece);
    size += piece.length;
  }
  return { size, sha256: hash.digest("hex") };
}
