// Benchmarks by name: where their questions are, and the published prompts and settings (temperature 0 for the greedy column, PRIME's lengths).
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Dataset, type DatasetRow } from "../../data/dataset.ts";
import { PrimekitError } from "../../errors.ts";

export interface Benchmark {
  title: string;
  /** The name of its file in a local folder, as its publishers and PRIME's evaluation have it. */
  file: RegExp;
  /** Where the hub has it: ORG/NAME, and the folder of the set where a repository holds several. */
  hub: string;
  ability: "math" | "code";
  maxNewTokens: number; // PRIME's evaluation: 4096, for the longest two 8192
  keep?: (row: DatasetRow) => boolean;
}

export const benchmarks = {
  aime2024: {
    title: "AIME 2024",
    file: /aime.*\.(jsonl?|parquet)$/i,
    hub: "AI-MO/aimo-validation-aime",
    ability: "math",
    maxNewTokens: 4096,
    keep: ({ id }) => id.startsWith("2024"),
  },
  amc: { title: "AMC 2022-23", file: /amc.*\.(jsonl?|parquet)$/i, hub: "AI-MO/aimo-validation-amc", ability: "math", maxNewTokens: 4096 },
  math500: {
    title: "MATH-500",
    file: /^(math_test_cleaned\.json|math-?500.*\.jsonl?|test\.jsonl)$/i,
    hub: "HuggingFaceH4/MATH-500",
    ability: "math",
    maxNewTokens: 8192,
  },
  minerva: { title: "Minerva Math", file: /minerva.*\.(jsonl?|parquet)$/i, hub: "math-ai/minervamath", ability: "math", maxNewTokens: 4096 },
  olympiad: { title: "OlympiadBench", file: /olympiad.*\.(jsonl?|parquet)$/i, hub: "math-ai/olympiadbench", ability: "math", maxNewTokens: 4096 },
  gsm8k: {
    title: "GSM8K",
    file: /^(gsm8k[\\/])?test\.jsonl$|gsm8k.*test.*\.(jsonl?|parquet)$/i,
    hub: "openai/gsm8k/main",
    ability: "math",
    maxNewTokens: 1024,
  },
  humaneval: { title: "HumanEval", file: /human-?eval.*\.(jsonl?|parquet)(\.gz)?$/i, hub: "openai/openai_humaneval", ability: "code", maxNewTokens: 4096 },
  /** EvalPlus's choice of MBPP's tasks, with MBPP's own tests: PRIME has the 399 of its first version, the hub the 378 that were kept later. */
  mbpp: { title: "MBPP", file: /mbpp.*\.(jsonl?|parquet)$/i, hub: "evalplus/mbppplus", ability: "code", maxNewTokens: 4096 },
  /** The contest problems of DeepSeek-Coder, as in PRIME's evaluation. */
  leetcode: { title: "LeetCode", file: /leetcode.*\.(jsonl?|parquet)$/i, hub: "TechxGenus/LeetCode-Contest", ability: "code", maxNewTokens: 8192 },
} as const satisfies Record<string, Benchmark>;

export type BenchmarkName = keyof typeof benchmarks;

/** The benchmark's file in a folder or below it; undefined when there is none. */
export async function findBenchmark(name: BenchmarkName, folder: string): Promise<string | undefined> {
  const { file }: Benchmark = benchmarks[name];
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new PrimekitError("ERR_IO", `The benchmark folder ${folder} cannot be read: ${cause.message}.`, { cause });
  });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => ({ name: entry.name, path: join(entry.parentPath, entry.name) }));
  const near = (path: string) => (path.toLowerCase().includes(name) ? 0 : 1); // gsm8k/test.jsonl before any other test.jsonl
  const found = files.filter((entry) => file.test(entry.name) && (entry.name !== "test.jsonl" || near(entry.path) === 0));
  return found.sort((a, b) => near(a.path) - near(b.path) || (a.path < b.path ? -1 : 1))[0]?.path;
}

/** All questions of a benchmark, in the order of its file. Throws ERR_DATA where the file holds none, and what Dataset.open throws. */
export async function readBenchmark(name: BenchmarkName, source: string, options: { cacheDir?: string; signal?: AbortSignal } = {}): Promise<DatasetRow[]> {
  const benchmark: Benchmark = benchmarks[name];
  const dataset = await Dataset.open(source, { ...options, needs: ["answer"], accept: benchmark.keep, split: ["test", "validation", "train"] });
  const rows = Array.from({ length: dataset.length }, (_, i) => dataset.at(i));
  dataset.close();
  return rows.map((row) => ({ ...row, ability: row.ability ?? benchmark.ability }));
}
