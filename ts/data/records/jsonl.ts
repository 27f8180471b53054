// JSON Lines: one object a line.
import { type Line, readLines } from "./lines.ts";
import { asRecord, type ReadOptions, type SourceRecord } from "./types.ts";

/** The objects of a .jsonl file; empty lines are passed over, others that hold no object are reported and skipped. */
export async function* readJsonl(file: string, { onBadRow, signal }: ReadOptions = {}): AsyncGenerator<SourceRecord> {
  for await (const line of readLines(file, signal)) {
    const parsed = parseLine(line);
    if (parsed === undefined) continue;
    if ("record" in parsed) yield { record: parsed.record, file, line: line.line };
    else onBadRow?.({ file, line: line.line, reason: parsed.reason });
  }
}

/** The object on a line, or what is wrong with the line; undefined for a line of white space. */
export function parseLine({ bytes }: Pick<Line, "bytes">): { record: Record<string, unknown> } | { reason: string } | undefined {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { reason: "The line is not valid UTF-8." };
  }
  if (text.trim() === "") return undefined;
  try {
    return asRecord(JSON.parse(text));
  } catch (error) {
    return { reason: `The line is not valid JSON (${(error as Error).message.replace(/\.$/, "")}).` };
  }
}

// --- internal ---

const decoder = new TextDecoder("utf-8", { fatal: true });
