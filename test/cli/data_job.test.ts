// bun run train.ts --model DIR --data FILE, as a user runs it: from the first look at the data to resuming after kill -9.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { appendFile, cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { arithmeticTask } from "../../ts/data/arithmetic.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";
import { hasShared, Scratch, shared } from "../data/support.ts";
import { makeModel } from "./models.ts";
import { fingerprint, keepCacheSetting, run, start } from "./support.ts";

setDefaultTimeout(120_000);
const scratch = new Scratch();
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
let runs: string;
let model: string;
let data: string;

/** Problems whose answers the arithmetic verifier judges; random weights are never right, so the filter is open. */
const row = (i: number) => ({ question: `${i}+${(7 * i) % 10}`, final: String(i + ((7 * i) % 10)) });
const FAST = [
  ["--model.dtype", "float32", "--threads", "1", "--verifier", "arithmetic", "--filterLow", "0", "--filterHigh", "1", "--data.heldOutSize", "8"],
  [
    "--maxNewTokens",
    "8",
    "--promptsPerStep",
    "4",
    "--samplesPerPrompt",
    "2",
    "--evalEvery",
    "0",
    "--sampleAnswers",
    "1",
    "--rolloutsEvery",
    "1",
    "--saveEvery",
    "2",
  ],
].flat();

const restoreCache = keepCacheSetting();
beforeAll(async () => {
  await scratch.open();
  runs = join(scratch.dir, "runs");
  process.env.PRIMEKIT_CACHE = join(scratch.dir, "cache");
  const { tokenizer } = arithmeticTask();
  model = await makeModel(join(scratch.dir, "model"), tokenizer, tokenizer.vocabSize);
  data = await scratch.write(
    "data/train.jsonl",
    `${range(60)
      .map((i) => JSON.stringify({ prompt: row(i).question, answer: row(i).final }))
      .join("\n")}\nnot a row\n`,
  );
});
afterAll(async () => {
  restoreCache(); // or the files that run after this one would bring the folder back
  await scratch.close();
});

const job = (name: string, ...args: string[]) => ["--runs", runs, "--run", name, "--model", model, ...FAST, ...args];
const rollouts = (name: string) => {
  const folder = join(runs, name, "rollouts");
  const files = readdirSync(folder).sort();
  return files.flatMap((file) =>
    readFileSync(join(folder, file), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  );
};

test("trains on a file: says what it read, keeps the report, uses no held-out row, and a second run is the same", async () => {
  const ended = await run(job("first", "--data", data, "--steps", "2"));
  expect(ended.code, ended.stderr).toBe(0);
  expect(ended.stderr).toContain(`Data: ${data}, read as plain, 61 rows: 52 to train on, 8 held out, 1 bad\n`);
  expect(ended.stderr).toContain(`  bad row ${data}:61: The line is not valid JSON`);
  const [report] = JSON.parse(readFileSync(join(runs, "first", "data.json"), "utf8"));
  expect(report).toMatchObject({ rows: 61, kept: 52, heldOut: 8, bad: 1, badRows: [{ file: data, line: 61 }] });
  expect(JSON.parse(readFileSync(join(runs, "first", "config.json"), "utf8")).resolved).toEqual({ model, data, rows: [52] });
  expect(existsSync(join(runs, "first", "sft"))).toBe(false); // the model is the start
  const again = await run(job("again", "--data", data, "--steps", "2"));
  expect(again.code, again.stderr).toBe(0);
  expect(fingerprint(join(runs, "again"))).toEqual(fingerprint(join(runs, "first")));
  expect(rollouts("first").length).toBeGreaterThan(0);
});

test("kill -9 between two checkpoints: the resumed run ends bit-identical, over the end of an epoch", async () => {
  const args = ["--data", data, "--steps", "15"]; // 60 problems of 52
  const unbroken = await run(job("unbroken", ...args));
  expect(unbroken.code, unbroken.stderr).toBe(0);
  const { child, ended } = start(job("killed", ...args));
  const dir = join(runs, "killed");
  const has = (file: string) => existsSync(join(dir, file));
  while (child.exitCode === null && !(has("checkpoints/step-000004") && has("rollouts/step-000005.jsonl"))) await Bun.sleep(1);
  child.kill("SIGKILL");
  await ended;
  expect(has("rollouts/step-000015.jsonl")).toBe(false);
  const resumed = await run(["--runs", runs, "--resume", "killed"]);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(fingerprint(dir)).toEqual(fingerprint(join(runs, "unbroken")));
});

test("data that changed under a run stops it", async () => {
  const own = join(scratch.dir, "changing.jsonl");
  await cp(data, own);
  expect((await run(job("changed", "--data", own, "--steps", "1"))).code).toBe(0);
  await appendFile(own, '{"prompt":"1+1","answer":"2"}\n');
  const resumed = await run(["--runs", runs, "--resume", "changed", "--steps", "2"]);
  expect(resumed.code).toBe(2);
  expect(resumed.stderr).toBe("primekit: The data has changed since the run began: it had 52 good rows, and now has 53.\n");
});

describe("files of one's own", () => {
  test("a verifier, and a mapping as a function in a TypeScript configuration; both go on with --resume", async () => {
    const verifier = await scratch.write(
      "own/verifier.ts",
      `import { readFileSync } from "node:fs";
       export default () => ({
         name: "length",
         verify: async (items) => items.map(({ response, answer }) => {
           const right = response.length % 2 === Number(answer) % 2;
           return { score: right ? 1 : 0, outcome: right ? "correct" : "wrong", extracted: response, reason: "by length" };
         }),
       });`,
    );
    const source = await scratch.write(
      "own/data.csv",
      `q,a\n${range(40)
        .map((i) => `${row(i).question},${row(i).final}\n`)
        .join("")}`,
    );
    const config = await scratch.write(
      "own/config.ts",
      `export default { data: { source: ${JSON.stringify(source)}, mapping: (row) => ({ prompt: row.q, answer: row.a }) }, verifier: ${JSON.stringify(verifier)}, steps: 1 };`,
    );
    const args = job("own").filter((word, i, all) => word !== "--verifier" && all[i - 1] !== "--verifier");
    const ended = await run([...args, "--config", config]);
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toContain("read as a function of your own, 40 rows: 32 to train on, 8 held out");
    const accuracies = readFileSync(join(runs, "own", "metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)["rollout/accuracy"]);
    expect(Math.max(...accuracies.filter((x) => x !== undefined))).toBeGreaterThan(0); // random weights pass by length, never by value
    const without = await run(["--runs", runs, "--resume", "own", "--steps", "2"]);
    expect(without.stderr).toBe("primekit: The run's data mapping is a function: go on with the --config file that holds it.\n");
    const resumed = await run(["--runs", runs, "--resume", "own", "--config", config, "--steps", "2"]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(existsSync(join(runs, "own", "checkpoints", "step-000002"))).toBe(true);
  });

  test("a task", async () => {
    const task = await scratch.write(
      "own/task.ts",
      `export default ({ tokenizer, seed }) => {
         const problem = (i) => ({ id: String(i), prompt: String(i % 10), answer: String(i % 10), level: 1 });
         return {
           name: "echo", tokenizer, train: { at: (i) => problem(i + seed) }, heldOut: [problem(3)],
           demonstrations: { at: (i) => ({ ...problem(i), response: String(i % 10) }) },
           verifier: { name: "echo", verify: async (items) => items.map(({ response, answer }) => ({ score: Number(response === answer), outcome: response === answer ? "correct" : "wrong", extracted: response, reason: "" })) },
         };
       };`,
    );
    const args = job("task", "--task", task, "--steps", "1").filter(
      (word, i, all) => !/^--(verifier|data)/.test(word) && !/^--(verifier|data)/.test(all[i - 1] ?? ""),
    );
    const ended = await run(args);
    expect(ended.code, ended.stderr).toBe(0);
    expect(existsSync(join(runs, "task", "data.json"))).toBe(false);
  });
});

describe("refused before there is a run folder", () => {
  const wrong: [string, () => string[] | Promise<string[]>, RegExp][] = [
    ["no model", () => ["--data", data], /^primekit: --data needs --model: the tokenizer comes with the model\.\n$/],
    ["no such data", () => ["--model", model, "--data", "./nothing.jsonl"], /nothing\.jsonl does not exist/],
    [
      "an unknown mapping",
      () => ["--model", model, "--verifier", "arithmetic", "--data", data, "--data.mapping", "gsm8"],
      /There is no data mapping "gsm8"\. Did you mean gsm8k\?/,
    ],
    [
      "a mapping that does not fit",
      () => ["--model", model, "--verifier", "arithmetic", "--data", data, "--data.mapping", "olympiad"],
      /61 of 61 rows of .* are bad, more than the share of 0\.02 that may be:/,
    ],
    [
      "columns nobody knows",
      async () => ["--model", model, "--verifier", "arithmetic", "--data", await scratch.write("odd.csv", "x,y\n1,2\n")],
      /No mapping knows the columns x, y\./,
    ],
    [
      "a split that is not there",
      () => ["--model", model, "--verifier", "arithmetic", "--data", join(scratch.dir, "data"), "--data.split", "test"],
      /has no files of the split test; there are train\./,
    ],
    [
      "rows that name no verifier",
      () => ["--model", model, "--data", data],
      /61 of 61 rows .*\n.*:1: The row has no ability \(math or code\), which says who judges it\./,
    ],
    [
      "an unknown verifier",
      () => ["--model", model, "--data", data, "--verifier", "arithmetics"],
      /There is no verifier "arithmetics"\. Did you mean arithmetic\?/,
    ],
    [
      "a verifier file without verifier",
      async () => ["--model", model, "--data", data, "--verifier", await scratch.write("v.ts", "export default 7;")],
      /must be a Verifier/,
    ],
    [
      "a verifier file that fails",
      async () => ["--model", model, "--data", data, "--verifier", await scratch.write("w.ts", "throw new Error('broken');")],
      /w\.ts cannot be loaded: broken/,
    ],
    [
      "a task file that is no task",
      async () => ["--model", model, "--task", await scratch.write("t.ts", "export default { name: 'x' };")],
      /lacks tokenizer, demonstrations, train, heldOut, verifier\./,
    ],
    ["a task of no kind", () => ["--task", "sorting"], /--task must be arithmetic or a TypeScript file, but got "sorting"\./],
    [
      "task and data",
      async () => ["--model", model, "--data", data, "--task", await scratch.write("u.ts", "export default {};")],
      /--task and --data exclude each other/,
    ],
    ["two models", () => ["--model", model, "--init", data], /--init and --model are the same option/],
    ["data options without data", () => ["--verifier", "math"], /verifier says how data is read, but there is no --data\./],
    [
      "all prompts too long",
      () => ["--model", model, "--data", data, "--verifier", "arithmetic", "--data.maxPromptTokens", "3"],
      /all 60 good ones were dropped as too long/,
    ],
    [
      "a model made for another tokenizer",
      async () => {
        const { tokenizer } = arithmeticTask();
        const other = await makeModel(join(scratch.dir, "smaller"), tokenizer, tokenizer.vocabSize - 1);
        return ["--model", other, "--data", data, "--verifier", "arithmetic"];
      },
      /The model .*smaller has (\d+) tokens, but the tokenizer gives ids up to \1: it was made for another model\./,
    ],
    [
      "files of several formats, and none of the one asked for",
      async () => {
        await scratch.write("mixed/a.csv", "prompt,answer\n1+1,2\n");
        await scratch.write("mixed/b.jsonl", "{}\n");
        return ["--model", model, "--verifier", "arithmetic", "--data", join(scratch.dir, "mixed"), "--data.format", "parquet"];
      },
      /mixed holds no parquet files; there are csv, jsonl\./,
    ],
    [
      "more tokens than the model reads",
      () => ["--model", model, "--data", data, "--verifier", "arithmetic", "--maxNewTokens", "2000"],
      /reads at most 2048 tokens, but .* allow 1024 \+ 2000/,
    ],
    [
      "another prompt style",
      () => ["--model", model, "--data", data, "--promptStyle", "poem"],
      /--promptStyle must be one of none, math, code, auto, but got "poem"/,
    ],
  ];
  for (const [name, args, sentence] of wrong) {
    test(name, async () => {
      const place = join(scratch.dir, "refused");
      const { code, stdout, stderr } = await run(["--runs", place, ...(await args())]);
      expect(code, stderr).not.toBe(0);
      expect(stderr).toMatch(sentence);
      expect(stderr).not.toContain("    at ");
      expect(stdout).toBe("");
      expect(existsSync(place)).toBe(false);
    });
  }
});

const tokenizers = "tokenizers/qwen2_5";
describe.skipIf(!hasShared(tokenizers) || !hasShared("data/math/gsm8k"))("a model with Qwen2.5's tokenizer and vocabulary", () => {
  test("takes two PRIME steps on 20 rows of GSM8K", async () => {
    const tokenizer = await Tokenizer.load(shared(tokenizers));
    const qwen = await makeModel(join(scratch.dir, "qwen"), tokenizer, 151_936);
    const lines = (await readFile(shared("data/math/gsm8k/train.jsonl"), "utf8")).split("\n").slice(0, 20);
    const gsm8k = await scratch.write("gsm8k.jsonl", lines.join("\n"));
    const args = [
      "--runs",
      runs,
      "--run",
      "gsm8k",
      "--model",
      qwen,
      "--data",
      gsm8k,
      ...FAST,
      "--verifier",
      "auto",
      "--data.heldOutSize",
      "4",
      "--promptsPerStep",
      "2",
      "--steps",
      "2",
    ];
    const ended = await run(args);
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toContain("read as gsm8k, 20 rows: 16 to train on, 4 held out");
    const [first] = rollouts("gsm8k");
    const prompt = JSON.stringify(first);
    expect(prompt).toContain("<|im_start|>system");
    expect(prompt).toContain("Present the answer in LaTex format: \\\\boxed{Your answer}<|im_end|>");
    expect(existsSync(join(runs, "gsm8k", "checkpoints", "step-000002", "policy", "tokenizer.json"))).toBe(true);
  });
});
