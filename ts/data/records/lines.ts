// Lines of a file as bytes, with their place in it.
import { PrimekitError } from "../../errors.ts";
import { readChunks } from "./chunks.ts";

export interface Line {
  /** Without the line end; valid only until the next line is asked for. */
  bytes: Buffer;
  line: number; // from 1
  offset: number; // of its first byte in the (unpacked) file
}

const MAX_LINE = 1 << 27;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/** Every line of a file, empty ones too; a byte order mark at the start is left out. Throws what readChunks throws, and ERR_DATA for a line above 128 MiB. */
export async function* readLines(file: string, signal?: AbortSignal): AsyncGenerator<Line> {
  let kept: Buffer[] = []; // the beginning of a line that goes on in the next piece
  let keptBytes = 0;
  let line = 1;
  let offset = 0;
  const take = (tail: Buffer): Line => {
    const whole = kept.length === 0 ? tail : Buffer.concat([...kept, tail]);
    const found = { bytes: trimmed(whole, line === 1), line, offset };
    kept = [];
    keptBytes = 0;
    offset += whole.length + 1;
    line++;
    return found;
  };
  for await (const chunk of readChunks(file, signal)) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield take(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start === chunk.length) continue;
    kept.push(Buffer.from(chunk.subarray(start))); // a copy: the piece will be overwritten
    keptBytes += chunk.length - start;
    if (keptBytes > MAX_LINE) throw new PrimekitError("ERR_DATA", `Line ${line} of ${file} is longer than 128 MiB; is it a file of lines?`);
  }
  if (kept.length > 0) yield take(Buffer.alloc(0));
}

// --- internal ---

function trimmed(bytes: Buffer, first: boolean): Buffer {
  const begin = first && bytes.subarray(0, 3).equals(BOM) ? 3 : 0;
  const end = bytes.length > begin && bytes[bytes.length - 1] === 13 ? bytes.length - 1 : bytes.length;
  return bytes.subarray(begin, end);
}
