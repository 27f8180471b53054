// safetensors headers: 8 bytes little-endian length, JSON, then raw data (https://github.com/huggingface/safetensors).
// Read and checked here, so that the native side only ever sees valid places; the data themselves are mapped natively.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { describe, PrimekitError } from "./errors.ts";

export type TensorType = "F32" | "BF16" | "F16";
const elementBytes: Record<string, number> = { F32: 4, BF16: 2, F16: 2 };

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

/** Reads and checks a file's header. Throws ERR_MODEL_FORMAT (what is wrong, and where) or ERR_IO. */
export function readTensorFile(file: string): TensorFile {
  const { json, dataBegin, fileSize } = readHeader(file);
  const header = parseHeader(file, json);
  const tensors = new Map<string, TensorPlace>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") metadata = entry as Record<string, string>;
    else tensors.set(name, checkEntry(file, name, entry, dataBegin, fileSize));
  }
  checkOverlaps(file, [...tensors.values()]);
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
    const end = at + elementBytes[type] * shape.reduce((product, size) => product * size, 1);
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

function readHeader(file: string): { json: string; dataBegin: number; fileSize: number } {
  let handle: number;
  try {
    handle = openSync(file, "r");
  } catch (cause) {
    throw new PrimekitError("ERR_IO", `Could not open ${file}: ${(cause as Error).message}.`, { cause });
  }
  try {
    const fileSize = fstatSync(handle).size;
    const prefix = Buffer.alloc(8);
    if (fileSize < 8 || readSync(handle, prefix, 0, 8, 0) !== 8) throw formatError(file, `it has ${fileSize} bytes, but the header's length alone takes 8`);
    const length = prefix.readBigUInt64LE();
    if (length > BigInt(Math.min(maxHeaderBytes, fileSize - 8))) throw formatError(file, `its header claims ${length} bytes, but the file has ${fileSize}`);
    const bytes = Buffer.alloc(Number(length));
    readSync(handle, bytes, 0, bytes.length, 8);
    return { json: bytes.toString("utf8"), dataBegin: 8 + bytes.length, fileSize };
  } finally {
    closeSync(handle);
  }
}

function parseHeader(file: string, json: string): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(json);
    if (typeof header === "object" && header !== null && !Array.isArray(header)) return header as Record<string, unknown>;
  } catch (cause) {
    throw formatError(file, `its header is not JSON (${(cause as Error).message})`);
  }
  throw formatError(file, "its header is not a JSON object");
}

function checkEntry(file: string, name: string, entry: unknown, dataBegin: number, fileSize: number): TensorPlace {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (typeof dtype !== "string" || !(dtype in elementBytes))
    throw formatError(file, `tensor "${name}" has type ${describe(dtype)}, but F32, BF16 or F16 is supported`);
  if (!Array.isArray(shape) || !shape.every(isSize)) throw formatError(file, `tensor "${name}" has no valid shape`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) throw formatError(file, `tensor "${name}" has no valid data_offsets`);
  const [begin, end] = offsets as [number, number];
  const bytes = shape.reduce((product: number, size: number) => product * size, elementBytes[dtype]);
  if (end - begin !== bytes) throw formatError(file, `tensor "${name}" of shape [${shape}] needs ${bytes} bytes, but has ${end - begin}`);
  if (dataBegin + end > fileSize) throw formatError(file, `tensor "${name}" ends at byte ${dataBegin + end}, but the file has ${fileSize}`);
  return { name, type: dtype as TensorType, shape: shape as number[], begin: dataBegin + begin, end: dataBegin + end };
}

function checkOverlaps(file: string, tensors: TensorPlace[]): void {
  const sorted = tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i].begin < sorted[i - 1].end) throw formatError(file, `tensors "${sorted[i - 1].name}" and "${sorted[i].name}" overlap`);
  }
}
