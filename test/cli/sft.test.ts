// `primekit sft` as a user runs it: a model folder, a file of conversations, a run folder that can be gone on with.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { Model } from "../../ts/model.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";
import { fingerprintOf, ROOT, run, start } from "./support.ts";

setDefaultTimeout(120_000);
const BIN = "ts/cli/bin.ts";
const folder = mkdtempSync(join(tmpdir(), "primekit-sft-"));
const runs = join(folder, "runs");
const model = join(folder, "model");
const data = join(folder, "chats.jsonl");
const FAST = [
  "--model",
  model,
  "--data",
  data,
  "--runs",
  runs,
  "--dtype",
  "float32",
  "--threads",
  "1",
  "--batchSize",
  "8",
  "--lr",
  "1e-2",
  "--heldOutSize",
  "10",
];

beforeAll(async () => {
  using random = await Model.load(join(ROOT, "test", "fixtures", "sft"));
  await random.save(model);
  await Tokenizer.fromJson(arithmeticTokenizerJson(), arithmeticTokenizerConfig()).save(model);
  const chat = (i: number) => {
    const turns = [i, i + 1].slice(0, 1 + (i % 2)).map((n) => [n % 10, Math.floor(n / 10) % 10]);
    return turns.flatMap(([a, b]) => [
      { role: "user", content: `${a}+${b}` },
      { role: "assistant", content: `[OUTPUT] \\boxed{${a + b}}` },
    ]);
  };
  const rows = Array.from({ length: 100 }, (_, i) => JSON.stringify({ messages: chat(i) }));
  writeFileSync(data, `${rows.join("\n")}\nno JSON\n{"messages":[{"role":"user","content":"1+1"}]}\n`);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("primekit sft", () => {
  test("learns from conversations, says what was left out, and the model it leaves can be loaded", async () => {
    const ended = await run(["sft", ...FAST, "--run", "whole", "--epochs", "8"], BIN);
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.stderr).toContain(`Data: ${data}, read as chat, 102 rows: 90 to train on, 10 held out, 2 bad\n  bad row ${data}:101: `);
    const [before, after] = /held out +(\d\.\d+) +(\d\.\d+)/.exec(ended.stdout)?.slice(1).map(Number) ?? [];
    expect(after).toBeLessThan(0.5 * before);
    const saved = /The model is in (\S+);/.exec(ended.stdout)?.[1] ?? "";
    using loaded = await Model.load(saved);
    const tokenizer = await Tokenizer.load(saved);
    const prompt = tokenizer.encode(tokenizer.chat([{ role: "user", content: "3+4" }], { addGenerationPrompt: true }));
    const [answer] = await loaded.generate([prompt], { maxNewTokens: 12, temperature: 0 });
    expect(tokenizer.decode(answer.tokens)).toMatch(/^\[OUTPUT\] \\boxed\{\d+\}<\|im_end\|>$/);
  });

  test("killed at any time and resumed: as if unbroken", async () => {
    const options = [...FAST, "--steps", "60", "--saveEvery", "5", "--evalEvery", "20"];
    expect((await run(["sft", ...options, "--run", "unbroken"], BIN)).code).toBe(0);
    const { child, ended } = start(["sft", ...options, "--run", "killed"], BIN);
    while (!existsSync(join(runs, "killed", "latest"))) await Bun.sleep(5);
    child.kill("SIGKILL");
    await ended;
    expect(readFileSync(join(runs, "killed", "latest"), "utf8")).not.toContain("step-000060"); // it really was cut
    expect((await run(["sft", "--runs", runs, "--resume", "killed"], BIN)).code).toBe(0);
    expect(fingerprintOf(join(runs, "killed"))).toEqual(fingerprintOf(join(runs, "unbroken")));
  });

  const refusals: [string, string[], string][] = [
    ["no data", ["--model", "m"], "--data is missing: examples: a JSON"],
    ["no model", ["--data", "d"], "--model is missing: the model to start from"],
    ["an unknown option", ["--model", "m", "--data", "d", "--epoch", "2"], "There is no option --epoch. Did you mean --epochs?"],
    ["a model folder that is none", ["--model", "./nowhere", "--data", data], "The model ./nowhere does not exist"],
    ["data without answers", ["--model", model, "--data", "package.json", "--mapping", "plain"], "rows of package.json are bad"],
    ["a format that is not there", ["--model", model, "--data", "test/fixtures/parquet", "--format", "csv"], "holds no csv files; there are parquet"],
    ["a wrong value", [...FAST, "--warmup", "2"], "The model or data option warmup has the value 2"],
  ];
  for (const [what, args, message] of refusals) {
    test(`${what} is refused before a run folder is made`, async () => {
      const ended = await run(["sft", ...args], BIN);
      expect(ended.code).not.toBe(0);
      expect(ended.stderr).toContain(message);
      expect(ended.stderr).not.toContain("    at ");
    });
  }

  test("a run of this command is not one of the other, and keeps its options", async () => {
    expect((await run(["sft", ...FAST, "--run", "tuned", "--steps", "1"], BIN)).code).toBe(0);
    const other = await run(["--runs", runs, "--resume", "tuned"]);
    expect(other.stderr).toBe('primekit: The run tuned was made by "sft", so "train" cannot go on with it.\n');
    const fixed = await run(["sft", "--runs", runs, "--resume", "tuned", "--lr", "1"], BIN);
    expect(fixed.stderr).toMatch(/^primekit: lr is fixed by the run/);
    expect((await run(["sft", "--runs", runs, "--resume", "tuned", "--steps", "2"], BIN)).code).toBe(0);
    expect(existsSync(join(runs, "tuned", "checkpoints", "step-000002"))).toBe(true);
  });

  test("changed data is noticed when a run goes on", async () => {
    const changed = join(folder, "changing.jsonl");
    const rows = readFileSync(data, "utf8").split("\n").slice(0, 100);
    writeFileSync(changed, rows.join("\n"));
    expect((await run(["sft", ...FAST, "--data", changed, "--run", "changing", "--steps", "2"], BIN)).code).toBe(0);
    writeFileSync(changed, rows.slice(0, 90).join("\n"));
    const again = await run(["sft", "--runs", runs, "--resume", "changing", "--steps", "3"], BIN);
    expect(again.stderr).toContain("the data was changed");
  });
});
