// The labelled answers and the benchmarks' references that the math verifier is measured on; they lie beside the checkout, where they are at all.
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { lastBoxes } from "../../../ts/verifiers/math/boxes.ts";

const DATA = resolve(import.meta.dir, "../../../../shared/data");

/** False where the data are not there; says so once. */
export const hasData = existsSync(join(DATA, "equivalence"));
if (!hasData) console.log("skipped: the labelled answers in ../shared/data are not there");

export interface Pair {
  id: number; // line in the file, from 0
  gold: string;
  prediction: string;
  expected: boolean;
  params?: { precision?: number };
}

/** Labelled pairs that bind: neither suspect nor in conflict with another. */
export function readPairs(): Pair[] {
  const rows = jsonLines("equivalence/pairs.jsonl").map(
    (row, id) => ({ ...row, id, gold: text(row.gold), prediction: text(row.prediction) }) as Pair & Record<string, unknown>,
  );
  return rows.filter((row) => row["suspect"] === undefined && row["conflicts_with"] === undefined);
}

export const readCompletions = (): Pair[] => jsonLines("equivalence/gsm8k_completions.jsonl").map((row, id) => ({ ...row, id }) as unknown as Pair);

/** Reference answers of the five benchmarks of the PRIME paper. */
export function readReferences(): Record<string, string[]> {
  const math = JSON.parse(readFileSync(join(DATA, "math/prime-eval/math_test_cleaned.json"), "utf8")) as { expected_answer: Record<string, unknown> };
  return {
    "MATH-500": Object.values(math.expected_answer).map(text),
    AIME: jsonLines("math/prime-eval/aimo-validation-aime.jsonl").map((row) => text(row["answer"])),
    AMC: jsonLines("math/prime-eval/aimo-validation-amc.jsonl").map((row) => text(row["answer"])),
    Minerva: jsonLines("math/prime-eval/minerva_math_test.jsonl").map((row) => lastBoxes(text(row["solution"]))?.content ?? ""),
    OlympiadBench: jsonLines("math/prime-eval/olympiadbench_test.jsonl").map((row) => text((row["final_answer"] as unknown[])[0])),
  };
}

// --- internal ---

const text = (value: unknown): string => (typeof value === "string" ? value : value === null ? "" : String(value));

function jsonLines(path: string): Record<string, unknown>[] {
  const lines = readFileSync(join(DATA, path), "utf8").split("\n");
  return lines.filter((line) => line.trim() !== "").map((line) => JSON.parse(line) as Record<string, unknown>);
}
