// The bytes of a file in pieces, unpacked where its name ends in .gz.
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { PrimekitError } from "../../errors.ts";

const PIECE = 1 << 18;

/** Pieces of a file in order. A piece is valid only until the next one is asked for. Throws ERR_IO, ERR_DATA (damaged .gz) or ERR_ABORTED. */
export async function* readChunks(file: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of file.endsWith(".gz") ? gunzipped(file) : plain(file)) {
      if (signal?.aborted) throw new PrimekitError("ERR_ABORTED", `Reading ${file} was aborted.`, { cause: signal.reason });
      yield chunk;
    }
  } catch (cause) {
    throw cause instanceof PrimekitError ? cause : unreadable(file, cause);
  }
}

/** An ERR_IO (the file system refused) or ERR_DATA (the contents are damaged) error for a file. */
export function unreadable(file: string, cause: unknown): PrimekitError {
  const { code = "", message } = cause instanceof Error ? (cause as NodeJS.ErrnoException) : { message: String(cause) };
  if (code === "ENOENT") return new PrimekitError("ERR_IO", `The file ${file} does not exist.`, { cause });
  if (code.startsWith("Z_") || /unexpected end of file|incorrect header/.test(message))
    return new PrimekitError("ERR_DATA", `The file ${file} is damaged or cut off: it cannot be unpacked (${message.replace(/\.$/, "")}).`, { cause });
  return new PrimekitError(code.startsWith("E") ? "ERR_IO" : "ERR_DATA", `The file ${file} cannot be read: ${message.replace(/\.$/, "")}.`, { cause });
}

// --- internal ---

async function* plain(file: string): AsyncGenerator<Buffer> {
  const handle = await open(file, "r");
  try {
    const buffer = Buffer.allocUnsafeSlow(PIECE); // one for the whole file: memory stays flat, whatever the collector does
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, PIECE, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

async function* gunzipped(file: string): AsyncGenerator<Buffer> {
  const source = createReadStream(file, { highWaterMark: PIECE });
  const unpacked = createGunzip();
  source.on("error", (error) => unpacked.destroy(error));
  try {
    for await (const chunk of source.pipe(unpacked)) yield chunk as Buffer;
  } finally {
    source.destroy();
    unpacked.destroy();
  }
}
