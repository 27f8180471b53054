// CSV and TSV through csv-parse: a header line, then rows of as many fields; all values are text.
import { Readable } from "node:stream";
import { type CsvError, parse } from "csv-parse";
import { PrimekitError } from "../../errors.ts";
import { readChunks } from "./chunks.ts";
import type { ReadOptions, SourceRecord } from "./types.ts";

const MAX_RECORD = 1 << 27;

/** The rows of a .csv or .tsv file. Rows of another length are reported and skipped; broken quotes or a bad header throw ERR_DATA. */
export async function* readCsv(file: string, { onBadRow, signal }: ReadOptions = {}): AsyncGenerator<SourceRecord> {
  let fatal: CsvError | undefined; // a quote that never closes swallows the rest of the file: no matter of one row
  const parser = parse({
    bom: true,
    columns: (header: string[]) => checkHeader(file, header),
    delimiter: /\.tsv(\.gz)?$/i.test(file) ? "\t" : ",",
    info: true,
    max_record_size: MAX_RECORD,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: (error) => {
      if (error?.code === "CSV_QUOTE_NOT_CLOSED") fatal = error;
      else if (error) onBadRow?.({ file, line: lineOf(error), reason: sentence(error) });
      return undefined;
    },
  });
  const source = Readable.from(copies(file, signal));
  source.on("error", (error) => parser.destroy(error));
  try {
    for await (const { info, record } of source.pipe(parser) as AsyncIterable<{ info: { lines: number }; record: Record<string, string> }>) {
      yield { record, file, line: info.lines };
    }
    if (fatal) throw fatal;
  } catch (cause) {
    if (cause instanceof PrimekitError) throw cause;
    throw new PrimekitError("ERR_DATA", `The file ${file} cannot be read as CSV: ${sentence(cause as Error)}`, { cause });
  } finally {
    source.destroy();
    parser.destroy();
  }
}

// --- internal ---

/** The parser may keep a piece longer than the reader leaves it alone. */
async function* copies(file: string, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  for await (const chunk of readChunks(file, signal)) yield Buffer.from(chunk);
}

function checkHeader(file: string, header: string[]): string[] {
  const names = header.map((name) => name.trim());
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (names.includes("")) throw new PrimekitError("ERR_DATA", `The header of ${file} has a column without a name.`);
  if (twice !== undefined) throw new PrimekitError("ERR_DATA", `The header of ${file} names the column ${JSON.stringify(twice)} twice.`);
  return names;
}

function lineOf(error: CsvError): number {
  return Number((error as CsvError & { lines?: number }).lines ?? 0);
}

function sentence(error: Error): string {
  return `${error.message.replace(/\.$/, "")}.`;
}
