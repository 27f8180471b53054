// `primekit eval --benchmarks NAMES` with nothing but names: model and benchmarks come from the hub (a server on this machine), the report is the same
// from the cache, without a connection.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { arithmeticTask } from "../../ts/data/arithmetic.ts";
import { Scratch } from "../data/support.ts";
import { COMMIT, large, text, useHub } from "../hub/support.ts";
import { makeModel } from "./models.ts";
import { ROOT } from "./support.ts";

const hub = useHub();
const scratch = new Scratch();
beforeAll(() => scratch.open());
afterAll(() => scratch.close());

test("GSM8K and MATH-500 by name", async () => {
  const { tokenizer } = arithmeticTask();
  const dir = await makeModel(join(scratch.dir, "model"), tokenizer, tokenizer.vocabSize);
  const model = readdirSync(dir).map((path) => ({ path, bytes: readFileSync(join(dir, path)), lfs: path.endsWith(".safetensors") }));
  const fixture = (name: string) => readFileSync(join(ROOT, "test", "fixtures", "benchmarks", `${name}.parquet`));
  const row = { problem: "1+2", solution: "It is $\\boxed{3}$.", answer: "3", subject: "Algebra", level: 2, unique_id: "test/algebra/1.json" };
  hub.server.repos.push(
    { type: "model", name: "org/tiny", commit: COMMIT, files: model },
    {
      type: "dataset",
      name: "openai/gsm8k",
      commit: COMMIT,
      files: [large("main/test-00000-of-00001.parquet", fixture("gsm8k")), large("socratic/test-00000-of-00001.parquet", fixture("amc"))],
    },
    { type: "dataset", name: "HuggingFaceH4/MATH-500", commit: COMMIT, files: [text("test.jsonl", JSON.stringify(row))] },
  );
  const evaluate = async (out: string, offline: "0" | "1") => {
    const options = ["--model", "org/tiny", "--benchmarks", "gsm8k,math500", "--samples", "2", "--maxNewTokens", "4", "--dtype", "float32", "--out", out];
    const env = {
      ...process.env,
      HF_ENDPOINT: hub.server.url,
      HF_HUB_CACHE: hub.cacheDir,
      HF_HUB_OFFLINE: offline,
      PRIMEKIT_CACHE: join(scratch.dir, "cache"),
    };
    const command = [process.execPath, "run", join(ROOT, "ts/cli/bin.ts"), "eval", ...options];
    const child = Bun.spawn(command, { cwd: scratch.dir, env, stdout: "pipe", stderr: "pipe" });
    const [stderr] = await Promise.all([new Response(child.stderr).text(), new Response(child.stdout).text()]);
    expect(await child.exited, stderr).toBe(0);
    return JSON.parse(readFileSync(join(scratch.dir, out, "report.json"), "utf8"));
  };
  const report = await evaluate("first", "0");
  expect(report.results).toMatchObject([
    { name: "gsm8k", problems: 2 },
    { name: "math500", problems: 1 },
  ]);
  const answers = readFileSync(join(scratch.dir, "first", report.results[0].answersFile), "utf8")
    .trim()
    .split("\n");
  expect(answers.length).toBe(2 * 3); // two questions, greedy and two samples each
  hub.server.seen = [];
  expect(await evaluate("again", "1")).toEqual(report);
  expect(hub.server.seen).toEqual([]);
}, 60_000);
