// Parquet through hyparquet, a part of a row group at a time.
import { open } from "node:fs/promises";
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { PrimekitError } from "../../errors.ts";
import { unreadable } from "./chunks.ts";
import { asRecord, type ReadOptions, type SourceRecord } from "./types.ts";

/**
 * The rows of a .parquet file; memory holds one row group. Lists and structs come as arrays and objects, 64-bit integers as numbers (as text beyond 2^53),
 * dates as ISO text, bytes as base64. Throws ERR_DATA for a file that is damaged or of a kind that cannot be read.
 */
export async function* readParquet(file: string, { signal, onBadRow }: ReadOptions = {}): AsyncGenerator<SourceRecord> {
  const handle = await open(file, "r").catch((cause) => {
    throw unreadable(file, cause);
  });
  try {
    const { size } = await handle.stat();
    const buffer: AsyncBuffer = {
      byteLength: size,
      slice: async (start, end = size) => {
        const bytes = new Uint8Array(Math.max(0, end - start));
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
        if (bytesRead !== bytes.length) throw new PrimekitError("ERR_DATA", `The file ${file} is cut off, or was changed while it was read.`);
        return bytes.buffer;
      },
    };
    const metadata = await refusing(file, () => parquetMetadataAsync(buffer));
    let line = 0;
    for (const [rowStart, rowEnd] of rowGroups(metadata)) {
      if (signal?.aborted) throw new PrimekitError("ERR_ABORTED", `Reading ${file} was aborted.`, { cause: signal.reason });
      const rows = await refusing(file, () => parquetReadObjects({ file: buffer, metadata, rowStart, rowEnd, compressors }));
      if (rows.length !== rowEnd - rowStart)
        throw new PrimekitError("ERR_DATA", `The file ${file} is damaged: a row group has ${rows.length} rows instead of ${rowEnd - rowStart}.`);
      for (const row of rows) {
        const parsed = asRecord(plain(row));
        line++;
        if ("record" in parsed) yield { record: parsed.record, file, line };
        else onBadRow?.({ file, line, reason: parsed.reason });
      }
    }
  } finally {
    await handle.close();
  }
}

// --- internal ---

async function refusing<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof PrimekitError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PrimekitError("ERR_DATA", `The file ${file} cannot be read as Parquet: ${reason.replace(/\.$/, "")}.`, { cause });
  }
}

function rowGroups({ row_groups }: FileMetaData): [number, number][] {
  let start = 0;
  return row_groups.map(({ num_rows }) => {
    const end = start + Number(num_rows);
    const range: [number, number] = [start, end];
    start = end;
    return range;
  });
}

/** A value as JSON knows it. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain);
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  return value ?? null;
}
