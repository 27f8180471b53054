// safetensors headers: 8 bytes little-endian length, JSON, then raw data (https://github.com/huggingface/safetensors).
// Read and checked here, so that the native side only ever sees valid places; the data themselves are mapped natively.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { describe, PrimekitError } from "./errors.ts";
import { parseJsonObject } from "./model_json.ts";

export type TensorType = "F32" | "BF16" | "F16";
const elementBytes: Record<TensorType, number> = { F32: 4, BF16: 2, F16: 2 };

export interface TensorPlace {
  name: string;
  type: TensorType;
  shape: number[];
  begin: number; // byte in the file
  end: number;
}

export interface TensorFile {
  file: string;
  tensors: Map<string, TensorPlace>;
  metadata: Record<string, string>;
}

const maxHeaderBytes = 100_000_000; // the format's own limit

/** Bytes that a tensor takes in a file. */
export function tensorBytes(type: TensorType, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, elementBytes[type]);
}

/** Reads and checks a file's header. Throws ERR_MODEL_FORMAT (what is wrong, and where) or ERR_IO. */
export function readTensorFile(file: string): TensorFile {
  let handle: number;
  try {
    handle = openSync(file, "r");
  } catch (cause) {
    throw new PrimekitError("ERR_IO", `Could not open ${file}: ${(cause as Error).message}.`, { cause });
  }
  try {
    const size = fstatSync(handle).size;
    return parseTensorFile(file, size, (begin, length) => {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, Math.max(0, readSync(handle, bytes, 0, length, begin)));
    });
  } catch (cause) {
    if (cause instanceof PrimekitError) throw cause;
    throw new PrimekitError("ERR_IO", `Could not read ${file}: ${(cause as Error).message}.`, { cause });
  } finally {
    closeSync(handle);
  }
}

/** The same from `read`, which gives `length` bytes at `begin` of a file of `size` bytes (fewer only when the file has changed). */
export function parseTensorFile(file: string, size: number, read: (begin: number, length: number) => Uint8Array): TensorFile {
  const prefix = size < 8 ? new Uint8Array(0) : read(0, 8);
  if (prefix.length < 8) throw formatError(file, `it has ${size} bytes, but the header's length alone takes 8`);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(Math.min(maxHeaderBytes, size - 8))) throw formatError(file, `its header claims ${length} bytes, but the file has ${size}`);
  const bytes = read(8, Number(length));
  if (bytes.length < Number(length)) throw formatError(file, "it ends within its header");
  const tensors = new Map<string, TensorPlace>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(parseHeader(file, bytes))) {
    if (name === "__metadata__") metadata = checkMetadata(file, entry);
    else tensors.set(name, checkEntry(file, name, entry, 8 + bytes.length, size));
  }
  checkPlaces(file, [...tensors.values()], 8 + bytes.length, size);
  return { file, tensors, metadata };
}

/** The bytes before the data: length, JSON (padded to 8 bytes). Tensors follow in the order given, without gaps. */
export function makeTensorHeader(
  tensors: readonly { name: string; type: TensorType; shape: readonly number[] }[],
  metadata: Record<string, string> = {},
): Uint8Array {
  const entries: Record<string, unknown> = { __metadata__: { format: "pt", ...metadata } };
  let at = 0;
  for (const { name, type, shape } of tensors) {
    const end = at + tensorBytes(type, shape);
    entries[name] = { dtype: type, shape, data_offsets: [at, end] };
    at = end;
  }
  let json = JSON.stringify(entries);
  json += " ".repeat((8 - (Buffer.byteLength(json) % 8)) % 8);
  const text = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

// --- internal ---

function formatError(file: string, problem: string): PrimekitError {
  return new PrimekitError("ERR_MODEL_FORMAT", `The file ${file} is not valid safetensors: ${problem}.`);
}

function parseHeader(file: string, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw formatError(file, "its header is not UTF-8");
  }
  if (!text.startsWith("{")) throw formatError(file, "its header does not begin with {");
  try {
    return parseJsonObject(text);
  } catch (cause) {
    throw formatError(file, `its header cannot be read (${(cause as Error).message})`);
  }
}

function checkMetadata(file: string, entry: unknown): Record<string, string> {
  if (typeof entry === "object" && entry !== null && !Array.isArray(entry) && Object.values(entry).every((value) => typeof value === "string"))
    return entry as Record<string, string>;
  throw formatError(file, "its __metadata__ is not an object of strings");
}

function checkEntry(file: string, name: string, entry: unknown, dataBegin: number, fileSize: number): TensorPlace {
  const tensor = `tensor ${JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name)}`;
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (typeof dtype !== "string" || !Object.hasOwn(elementBytes, dtype))
    throw formatError(file, `${tensor} has type ${describe(dtype)}, but F32, BF16 or F16 is supported`);
  if (!Array.isArray(shape) || !shape.every(isSize)) throw formatError(file, `${tensor} has no valid shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) throw formatError(file, `${tensor} has no valid data_offsets`);
  const [begin, end] = offsets as [number, number];
  const bytes = tensorBytes(dtype as TensorType, shape as number[]);
  if (end - begin !== bytes) throw formatError(file, `${tensor} of shape [${shape}] needs ${bytes} bytes, but has ${end - begin}`);
  if (dataBegin + end > fileSize) throw formatError(file, `${tensor} ends at byte ${dataBegin + end}, but the file has ${fileSize}`);
  return { name, type: dtype as TensorType, shape: shape as number[], begin: dataBegin + begin, end: dataBegin + end };
}

/** The format wants the data to be the tensors, one after another, and nothing else. */
function checkPlaces(file: string, tensors: TensorPlace[], dataBegin: number, fileSize: number): void {
  const sorted = tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = dataBegin;
  for (const [i, { name, begin, end }] of sorted.entries()) {
    if (begin < at) throw formatError(file, `tensors ${JSON.stringify(sorted[i - 1].name)} and ${JSON.stringify(name)} overlap`);
    if (begin > at) throw formatError(file, `bytes ${at} to ${begin} before tensor ${JSON.stringify(name)} belong to no tensor`);
    at = end;
  }
  if (at !== fileSize) throw formatError(file, `the ${fileSize - at} bytes after its last tensor belong to none`);
}
