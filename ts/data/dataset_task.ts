// A task made of a dataset: its rows as problems in the order of the seed, some of them held out, and a verifier.
import { PrimekitError } from "../errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Verifier } from "../verifiers/types.ts";
import { questionHash } from "./dataset/held_out.ts";
import { Dataset, type DatasetOptions, type DatasetReport, type DatasetRow } from "./dataset.ts";
import { rowOf } from "./order.ts";
import { type PromptStyleOption, promptWriter } from "./prompt_text.ts";
import type { Task } from "./task.ts";
import type { Example, Problem } from "./types.ts";

export interface DatasetTaskOptions extends Pick<DatasetOptions, "mapping" | "format" | "split" | "needs" | "maxBadShare" | "cacheDir" | "signal"> {
  tokenizer: Tokenizer;
  verifier: Verifier;
  /** Of the order of problems and of demonstrations. Default 0. What is held out does not depend on it. */
  seed?: number;
  /** A file or directory of its own for held-out problems; its questions are left out of training. Default: rows of the dataset itself. */
  heldOut?: string;
  /** Default: the files named "test…", else "validation…", else all. */
  heldOutSplit?: string;
  /** Held-out problems: of the dataset itself (default 256, at most half of it), or of `heldOut` (default all). */
  heldOutSize?: number;
  /** Training and held-out problems with longer prompts are dropped and counted. Default 1024. */
  maxPromptTokens?: number;
  /** What is added to the messages: "math", "code" (PRIME's prompts), "auto" (by the row's ability), a function; default "none". */
  promptStyle?: PromptStyleOption;
  /** False: prompts are the messages' text alone, for models that know no chat. Default true. */
  chatTemplate?: boolean;
  /** Told while the data is read through. */
  onProgress?: (rows: number) => void;
}

export interface DatasetTask extends Task {
  readonly report: DatasetReport;
  readonly heldOutReport: DatasetReport | undefined; // of a file of its own
  close(): void;
}

/** As many held-out problems as are kept in memory. */
const MAX_HELD_OUT = 65_536;
const STREAM = { train: 1, demonstrations: 2 } as const;

/**
 * Opens the dataset (see Dataset.open) and makes a task of it. Problem i is a pure function of the data, the seed and i; every row comes once an epoch.
 * Throws what Dataset.open throws, ERR_DATA when no prompt fits, and ERR_TOKENIZER when the chat template fails.
 */
export async function datasetTask(source: string, options: DatasetTaskOptions): Promise<DatasetTask> {
  const { tokenizer, verifier, seed = 0, needs = ["answer"], maxPromptTokens = 1024 } = options;
  const write = promptWriter(tokenizer, options);
  const { mapping, format, maxBadShare, cacheDir, signal, onProgress } = options;
  const accept = (row: DatasetRow) => write.fits(row, maxPromptTokens);
  const common = { mapping, needs, maxBadShare, cacheDir, signal, onProgress, accept };
  const toProblem = (row: DatasetRow): Problem => ({
    id: row.id,
    prompt: write.text(row),
    answer: row.answer ?? "",
    level: row.level ?? 1,
    ...(row.ability === undefined ? {} : { ability: row.ability }),
  });
  const own =
    options.heldOut === undefined
      ? undefined
      : await readHeldOut(
          options.heldOut,
          { ...common, format: heldOutFormat(source, options), split: options.heldOutSplit ?? ["test", "validation"] },
          options,
        );
  const dataset = await Dataset.open(source, {
    ...common,
    format,
    split: options.split,
    ...(own ? { exclude: own.questions } : { holdOut: options.heldOutSize ?? 256 }),
  });
  const rowFor = (index: number, stream: number) => dataset.at(rowOf(seed, index, dataset.length, stream));
  return {
    name: dataset.report.mapping,
    tokenizer,
    demonstrations: { at: (index) => toExample(rowFor(index, STREAM.demonstrations), toProblem) },
    train: { at: (index) => toProblem(rowFor(index, STREAM.train)) },
    heldOut: (own?.rows ?? dataset.heldOut).map(toProblem),
    verifier,
    report: dataset.report,
    heldOutReport: own?.report,
    close: () => dataset.close(),
  };
}

// --- internal ---

/** The format is that of the training data, and so of held-out files only where they lie in the same directory. */
function heldOutFormat(source: string, { heldOut, format }: DatasetTaskOptions): DatasetTaskOptions["format"] {
  return heldOut === source ? format : undefined;
}

interface HeldOut {
  rows: DatasetRow[];
  questions: ReadonlySet<number>; // of all rows of the file, also of those that are not asked
  report: DatasetReport;
}

/** Rows of a held-out file: all, or the `heldOutSize` of the smallest question hashes. */
async function readHeldOut(source: string, common: DatasetOptions, { heldOutSize }: DatasetTaskOptions): Promise<HeldOut> {
  const dataset = await Dataset.open(source, common);
  try {
    if (dataset.length > MAX_HELD_OUT) throw new PrimekitError("ERR_DATA", `${source} has ${dataset.length} rows to hold out; at most ${MAX_HELD_OUT} can be.`);
    const rows = Array.from({ length: dataset.length }, (_, i) => dataset.at(i));
    const hashed = rows.map((row) => ({ row, hash: questionHash(row) }));
    const chosen = heldOutSize === undefined ? hashed : hashed.toSorted((a, b) => a.hash - b.hash).slice(0, heldOutSize);
    return { rows: chosen.map(({ row }) => row), questions: new Set(hashed.map(({ hash }) => hash)), report: dataset.report };
  } finally {
    dataset.close();
  }
}

function toExample(row: DatasetRow, toProblem: (row: DatasetRow) => Problem): Example {
  if (row.response !== undefined) return { ...toProblem(row), response: row.response };
  throw new PrimekitError("ERR_DATA", `The row ${row.file}:${row.line} has no worked response, so there is nothing to fine-tune on in it.`);
}
