// Every benchmark by its id on the hub: repositories with the folders, files and columns that the real ones have (see their cards), and questions of our own.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type BenchmarkName, benchmarks, readBenchmark } from "../../ts/eval/benchmark/benchmarks.ts";
import { resolveDataset } from "../../ts/hub/resolve.ts";
import type { HubFile } from "./hub_server.ts";
import { COMMIT, large, text, useHub } from "./support.ts";

const hub = useHub();
const parquet = (path: string, name: string) => large(path, readFileSync(join(import.meta.dir, "..", "fixtures", "benchmarks", `${name}.parquet`)));
const jsonl = (path: string, row: object) => text(path, `${JSON.stringify(row)}\n`);
const README = text("README.md", "about the data");

/** Where each lies and what its rows are to become. */
const LAYOUTS: Record<BenchmarkName, { repo: string; files: HubFile[]; rows: object[] }> = {
  aime2024: {
    repo: "AI-MO/aimo-validation-aime",
    files: [parquet("data/train-00000-of-00001.parquet", "aime")],
    rows: [{ id: "2024_AIME_II_Problems-4", prompt: "2+3", answer: "5" }],
  },
  amc: {
    repo: "AI-MO/aimo-validation-amc",
    files: [parquet("data/train-00000-of-00001.parquet", "amc")],
    rows: [{ id: "2022_AMC_12A_Problems-1", prompt: "70+72", answer: "142" }],
  },
  math500: {
    repo: "HuggingFaceH4/MATH-500",
    files: [
      jsonl("test.jsonl", { problem: "1+2", solution: "It is $\\boxed{3}$.", answer: "3", subject: "Algebra", level: 2, unique_id: "test/algebra/1.json" }),
    ],
    rows: [{ id: "test/algebra/1.json", prompt: "1+2", answer: "3", level: 2 }],
  },
  minerva: {
    repo: "math-ai/minervamath",
    files: [jsonl("test.jsonl", { question: "3+3", answer: "6" })],
    rows: [{ prompt: "3+3", answer: "6" }],
  },
  olympiad: {
    repo: "math-ai/olympiadbench",
    files: [jsonl("test.jsonl", { id: 1606, subfield: "Algebra", context: null, question: "x^2=4", solution: ["…"], final_answer: ["2", "-2"] })],
    rows: [{ id: "1606", prompt: "x^2=4", answer: "2, -2" }],
  },
  gsm8k: {
    repo: "openai/gsm8k",
    files: ["main", "socratic"].flatMap((folder) =>
      ["test", "train"].map((split) => parquet(`${folder}/${split}-00000-of-00001.parquet`, split === "test" && folder === "main" ? "gsm8k" : "amc")),
    ),
    rows: [
      { prompt: "3+4+5", answer: "12" },
      { prompt: "600+700", answer: "1300" },
    ],
  },
  humaneval: {
    repo: "openai/openai_humaneval",
    files: [parquet("openai_humaneval/test-00000-of-00001.parquet", "humaneval")],
    rows: [{ id: "HumanEval/0", answer: expect.stringContaining('"entry_point":"add"') }],
  },
  mbpp: {
    repo: "evalplus/mbppplus",
    files: [parquet("data/test-00000-of-00001-d5781c9c51e02795.parquet", "mbppplus")],
    rows: [
      {
        id: "MBPP/2",
        prompt: "Write a function to add two numbers.\nassert add(1, 2) == 3",
        answer: JSON.stringify({ tests: ["assert add(1, 2) == 3", "assert add(0, 0) == 0"], setup: "import math" }),
      },
    ],
  },
  leetcode: {
    repo: "TechxGenus/LeetCode-Contest",
    files: [
      jsonl("20240121-Jul.jsonl", {
        task_id: "weekly-1-add",
        url: "https://leetcode.com/problems/add",
        title: "add",
        meta: { questionId: "1", difficulty: "Hard" },
        prompt: "class Solution:",
        prompt_sft: "Add two numbers.",
        test: "my_solution = Solution()\n\ntest_input = { }\nassert my_solution.add(1, 2) == 3",
      }),
    ],
    rows: [{ id: "weekly-1-add", prompt: "Add two numbers.", level: 3, answer: expect.stringContaining("my_solution.add(1, 2)") }],
  },
};

for (const [name, { repo, files, rows }] of Object.entries(LAYOUTS) as [BenchmarkName, (typeof LAYOUTS)[BenchmarkName]][]) {
  test(`${name} from ${benchmarks[name].hub}`, async () => {
    hub.server.repos.push({ type: "dataset", name: repo, commit: COMMIT, files: [README, ...files] });
    const source = await resolveDataset(benchmarks[name].hub, hub.options);
    const { ability } = benchmarks[name];
    expect(await readBenchmark(name, source, { cacheDir: hub.cacheDir })).toMatchObject(rows.map((row) => ({ ...row, ability })));
  });
}
