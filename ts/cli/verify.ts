// `primekit verify`: answers in a file against their references, with any verifier; counts on the terminal, verdicts to a file.
import { writeFileSync } from "node:fs";
import cliProgress from "cli-progress";
import { readRecords } from "../data/records/read_records.ts";
import type { SourceRecord } from "../data/records/types.ts";
import { PrimekitError } from "../errors.ts";
import type { Item, Verdict, Verifier } from "../verifiers/types.ts";
import type { Command } from "./command.ts";
import type { Flag, Options } from "./flags.ts";
import { percent, shortDuration, table } from "./format.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { makeVerifier } from "./job_verifier.ts";

const section = "Verify";
const field = (name: string, what: string): Flag => ({ name, type: "string", description: `field with ${what}`, default: name.replace(/Field$/, ""), section });

export const verifyCommand: Command = {
  name: "verify",
  description: "Judges the answers in a file (rows with a response and a reference answer), prints how many are right and can write every verdict.",
  argument: "data",
  flags: [
    { name: "data", type: "string", description: "the file: .jsonl, .json, .csv or .parquet (the option's name may be left out)", section },
    {
      name: "verifier",
      type: "string",
      description: "arithmetic, math, code, auto (by each row's ability, else by what the answer is) or a file with a Verifier",
      default: "auto",
      section,
    },
    { name: "extract", type: "string", description: "what counts as a mathematical answer", choices: ["boxed", "lenient"], default: "boxed", section },
    { name: "out", type: "string", description: "file for the verdicts, one JSON object a line in the order of the rows", section },
    field("responseField", "the response"),
    field("answerField", "the reference answer, or a program's tests"),
    field("promptField", "the prompt, where there is one"),
    field("abilityField", "the ability (math or code), where there is one"),
  ],
  run: async (options) => {
    if (options.data === undefined) throw new PrimekitError("ERR_CONFIG", "Give the file to verify: primekit verify FILE.jsonl.");
    const verifier = await makeVerifier(String(options.verifier ?? "auto"), { math: { extract: options.extract === "lenient" ? "lenient" : "boxed" } });
    const interrupt = listenForInterrupt(() => {});
    const began = performance.now();
    try {
      const rows = await readRows(options, interrupt.signal);
      const verdicts = await judge(verifier, rows, interrupt.signal);
      if (options.out !== undefined) writeVerdicts(String(options.out), rows, verdicts);
      process.stdout.write(`${summary(verdicts, (performance.now() - began) / 1000)}\n`);
      return 0;
    } catch (error) {
      return interrupt.exitCodeFor(error);
    } finally {
      interrupt.dispose();
      await verifier.close?.();
    }
  },
};

// --- internal ---

interface Row {
  line: number;
  id: unknown;
  item: Item;
}

async function readRows(options: Options, signal: AbortSignal): Promise<Row[]> {
  const rows: Row[] = [];
  const onBadRow = ({ file, line, reason }: { file: string; line: number; reason: string }) => {
    throw new PrimekitError("ERR_DATA", `${file}, line ${line}: ${reason}`);
  };
  for await (const row of readRecords(String(options.data), { signal, onBadRow })) rows.push(readRow(row, options));
  if (rows.length === 0) throw new PrimekitError("ERR_DATA", `${String(options.data)} has no rows.`);
  return rows;
}

function readRow({ record, file, line }: SourceRecord, options: Options): Row {
  const name = (key: string) => String(options[`${key}Field`] ?? key);
  const [response, answer] = [record[name("response")], record[name("answer")]];
  const missing = typeof response !== "string" ? "response" : answer === undefined || answer === null ? "answer" : undefined;
  if (missing) {
    const fields = Object.keys(record).join(", ");
    throw new PrimekitError(
      "ERR_DATA",
      `${file}, line ${line}: the row has no ${missing} in a field ${JSON.stringify(name(missing))}; its fields are ${fields}. Name it with --${missing}Field.`,
    );
  }
  const text = typeof answer === "string" ? answer : typeof answer === "object" ? JSON.stringify(answer) : String(answer);
  const ability = record[name("ability")];
  const prompt = record[name("prompt")];
  const item = { prompt: typeof prompt === "string" ? prompt : "", response: response as string, answer: text };
  return { line, id: record["id"], item: { ...item, ability: typeof ability === "string" ? ability : abilityOf(text) } };
}

/** The tests of a program are a JSON object with inputs or tests; any other answer is a mathematical one. */
function abilityOf(answer: string): string {
  return answer.trimStart().startsWith("{") && /"(?:inputs|tests)"\s*:/.test(answer) ? "code" : "math";
}

async function judge(verifier: Verifier, rows: readonly Row[], signal: AbortSignal): Promise<Verdict[]> {
  const bar = process.stderr.isTTY
    ? new cliProgress.SingleBar({
        stream: process.stderr,
        format: "Verifying {bar} {value}/{total} · {eta} s left",
        barCompleteChar: "█",
        barIncompleteChar: "░",
        barsize: 24,
        hideCursor: true,
      })
    : undefined;
  bar?.start(rows.length, 0);
  try {
    return await verifier.verify(
      rows.map(({ item }) => item),
      { signal, onProgress: (done) => bar?.update(done) },
    );
  } finally {
    bar?.stop();
  }
}

function writeVerdicts(path: string, rows: readonly Row[], verdicts: readonly Verdict[]): void {
  const lines = verdicts.map(({ score, outcome, extracted, reason }, i) =>
    JSON.stringify({ line: rows[i].line, id: rows[i].id, score, outcome, extracted: extracted ?? null, reason }),
  );
  try {
    writeFileSync(path, `${lines.join("\n")}\n`);
  } catch (error) {
    throw new PrimekitError("ERR_IO", `Cannot write the verdicts to ${path}: ${error instanceof Error ? error.message : String(error)}.`, { cause: error });
  }
}

function summary(verdicts: readonly Verdict[], seconds: number): string {
  const outcomes = ["correct", "wrong", "timeout", "error"] as const;
  const counts = outcomes.map((outcome) => [outcome, verdicts.filter((verdict) => verdict.outcome === outcome).length] as const);
  const mean = verdicts.reduce((sum, { score }) => sum + score, 0) / verdicts.length;
  const rows = counts.map(([outcome, n]) => [outcome, String(n), percent(n / verdicts.length)]);
  return `${table([...rows, ["answers", String(verdicts.length), shortDuration(seconds)], ["mean score", mean.toFixed(4)]])}`;
}
