// JSON files: an array of objects (read piece by piece), JSON Lines under another name, a table of columns as pandas writes it, or one object.
import { stat } from "node:fs/promises";
import { PrimekitError } from "../../errors.ts";
import { readChunks } from "./chunks.ts";
import { parseLine, readJsonl } from "./jsonl.ts";
import { readLines } from "./lines.ts";
import { asRecord, type ReadOptions, type SourceRecord } from "./types.ts";

const MAX_DOCUMENT = 1 << 28; // bytes of a document that can only be read as a whole
const MAX_ELEMENT = 1 << 27; // bytes of an array's element

/** The objects of a .json file; the line of a record is its number in the array or table. Throws ERR_DATA when the file is no JSON or is cut off. */
export async function* readJson(file: string, options: ReadOptions = {}): AsyncGenerator<SourceRecord> {
  const first = await firstByte(file);
  if (first === undefined) throw new PrimekitError("ERR_DATA", `The file ${file} is empty.`);
  if (first === "[") yield* readArray(file, options);
  else if (await isLines(file)) yield* readJsonl(file, options);
  else yield* readDocument(file, options);
}

// --- internal ---

const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);
const [QUOTE, BACKSLASH, COMMA, OPEN, CLOSE, OPEN_BRACE, CLOSE_BRACE] = Buffer.from('"\\,[]{}');

async function firstByte(file: string): Promise<string | undefined> {
  for await (const { bytes } of readLines(file)) {
    const text = bytes.toString("latin1").trimStart();
    if (text !== "") return text[0];
  }
  return undefined;
}

/** Whether the first line is a whole object and another line follows. */
async function isLines(file: string): Promise<boolean> {
  let found = false;
  for await (const line of readLines(file)) {
    const parsed = parseLine(line);
    if (parsed === undefined) continue;
    if (found) return true;
    if (!("record" in parsed)) return false;
    found = true;
  }
  return false;
}

/** The elements of a top-level array. Only the one under way is kept; one that is no JSON object is reported and skipped. */
async function* readArray(file: string, { onBadRow, signal }: ReadOptions): AsyncGenerator<SourceRecord> {
  const elements = new ArrayElements(file);
  let line = 0;
  for await (const chunk of readChunks(file, signal)) {
    for (const bytes of elements.push(chunk)) {
      line++;
      const parsed = parseLine({ bytes }) ?? { reason: "The element is empty." };
      if ("record" in parsed) yield { record: parsed.record, file, line };
      else onBadRow?.({ file, line, reason: parsed.reason.replace("The line", "The element") });
    }
  }
  if (!elements.closed) throw new PrimekitError("ERR_DATA", `The file ${file} is cut off: its array does not end (${line} elements were read).`);
}

/** Cuts the bytes of a JSON array into those of its elements, by depth of brackets outside strings. */
class ArrayElements {
  closed = false;
  readonly #file: string;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #kept: Buffer[] = []; // the beginning of an element that goes on in the next piece
  #keptBytes = 0;

  constructor(file: string) {
    this.#file = file;
  }

  *push(chunk: Buffer): Generator<Buffer> {
    let start = this.#depth > 0 ? 0 : -1; // where the element under way begins in this piece
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i];
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) this.#inString = true;
      else if (this.closed && !SPACE.has(byte)) throw new PrimekitError("ERR_DATA", `The file ${this.#file} goes on after the end of its array.`);
      else if (byte === OPEN || byte === OPEN_BRACE) {
        if (this.#depth++ === 0) start = i + 1;
      } else if (byte === CLOSE || byte === CLOSE_BRACE) {
        if (--this.#depth === 0) {
          this.closed = true;
          const last = this.#take(chunk.subarray(start, i));
          if (last.toString("latin1").trim() !== "") yield last;
          start = -1;
        }
      } else if (byte === COMMA && this.#depth === 1) {
        yield this.#take(chunk.subarray(start, i));
        start = i + 1;
      }
    }
    if (start < 0 || start === chunk.length) return;
    this.#kept.push(Buffer.from(chunk.subarray(start)));
    this.#keptBytes += chunk.length - start;
    if (this.#keptBytes > MAX_ELEMENT)
      throw new PrimekitError("ERR_DATA", `An element of the array in ${this.#file} is longer than 128 MiB; is it valid JSON?`);
  }

  #take(tail: Buffer): Buffer {
    const whole = this.#kept.length === 0 ? tail : Buffer.concat([...this.#kept, tail]);
    this.#kept = [];
    this.#keptBytes = 0;
    return whole;
  }
}

/** One JSON value that is no array: a table { column: { row: value } }, or a single record. */
async function* readDocument(file: string, { onBadRow, signal }: ReadOptions): AsyncGenerator<SourceRecord> {
  if ((await stat(file)).size > MAX_DOCUMENT)
    throw new PrimekitError("ERR_DATA", `The file ${file} is one JSON object of more than 256 MiB; write it as JSON Lines, which can be read row by row.`);
  const pieces: Buffer[] = [];
  for await (const chunk of readChunks(file, signal)) pieces.push(Buffer.from(chunk));
  let value: unknown;
  try {
    value = JSON.parse(
      Buffer.concat(pieces)
        .toString("utf8")
        .replace(/^\uFEFF/, ""),
    );
  } catch (cause) {
    throw new PrimekitError("ERR_DATA", `The file ${file} is not valid JSON: ${(cause as Error).message.replace(/\.$/, "")}.`, { cause });
  }
  let line = 0;
  for (const row of tableRows(value) ?? [value]) {
    const parsed = asRecord(row);
    line++;
    if ("record" in parsed) yield { record: parsed.record, file, line };
    else onBadRow?.({ file, line, reason: parsed.reason });
  }
}

/** The rows of { column: { key: value } }, where every column has the same keys; undefined for anything else. */
function tableRows(value: unknown): Record<string, unknown>[] | undefined {
  const columns = Object.entries(value as Record<string, Record<string, unknown>>);
  if (columns.length === 0 || columns.some(([, cells]) => typeof cells !== "object" || cells === null || Array.isArray(cells))) return undefined;
  const keys = Object.keys(columns[0][1]);
  const same = columns.every(([, cells]) => Object.keys(cells).length === keys.length && keys.every((key) => key in cells));
  return same ? keys.map((key) => Object.fromEntries(columns.map(([name, cells]) => [name, cells[key]]))) : undefined;
}
