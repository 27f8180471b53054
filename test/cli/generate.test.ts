// `primekit generate` as a user runs it: one prompt, a file of prompts, a chat through a pipe.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { Model } from "../../ts/model.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";
import { type Ended, ROOT } from "./support.ts";

setDefaultTimeout(120_000);
const folder = mkdtempSync(join(tmpdir(), "primekit-generate-"));
const model = join(folder, "model");
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

beforeAll(async () => {
  using random = await Model.load(join(ROOT, "test", "fixtures", "sft"));
  await random.save(model);
  await Tokenizer.fromJson(arithmeticTokenizerJson(), arithmeticTokenizerConfig()).save(model);
});
afterAll(() => rmSync(folder, { recursive: true }));

async function generate(args: string[], input = ""): Promise<Ended> {
  const own = ["generate", "--model", model, "--dtype", "float32", "--threads", "1", "--maxNewTokens", "12"];
  const child = Bun.spawn([process.execPath, join(ROOT, "ts/cli/bin.ts"), ...own, ...args], {
    cwd: ROOT,
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { code: child.exitCode, signal: child.signalCode, stdout, stderr };
}

const rowsOf = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("one prompt: text, the same for the same seed, and the same as in JSON Lines", async () => {
  const [one, again, other, detailed] = await Promise.all([
    generate(["--prompt", "1+1"]),
    generate(["--prompt", "1+1"]),
    generate(["--prompt", "1+1", "--seed", "2"]),
    generate(["--prompt", "1+1", "--logprobs"]),
  ]);
  expect(one).toMatchObject({ code: 0, stderr: "" });
  expect(again.stdout).toBe(one.stdout);
  expect(other.stdout).not.toBe(one.stdout);
  const [row] = rowsOf(detailed.stdout);
  expect(row).toMatchObject({ id: "1", prompt: "1+1", sample: 0, response: one.stdout.slice(0, -1) });
  expect(row.tokens).toHaveLength(row.length);
  expect(row.logprobs).toHaveLength(row.length);
  using loaded = await Model.load(model);
  const tokenizer = await Tokenizer.load(model);
  const prompt = tokenizer.encode(tokenizer.chat([{ role: "user", content: "1+1" }], { addGenerationPrompt: true }));
  const tokens = Int32Array.from([...prompt, ...row.tokens]);
  const { logprobs } = await loaded.logprobs({ tokens, offsets: Int32Array.of(0, tokens.length), promptLengths: Int32Array.of(prompt.length) });
  expect(Math.max(...Array.from(logprobs, (value, t) => Math.abs(value - row.logprobs[t])))).toBeLessThan(1e-4);
});

test("a file of prompts: rows in order, bad ones named, samples numbered, into a file", async () => {
  const rows = [
    { id: "a", prompt: "1+1" },
    "no object",
    {
      messages: [
        { role: "system", content: "+" },
        { role: "user", content: "2" },
      ],
    },
  ];
  const prompts = file("prompts.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const out = join(folder, "answers.jsonl");
  const ended = await generate(["--prompts", prompts, "--samples", "2", "--out", out, "--mapping", "auto"]);
  expect(ended).toMatchObject({ code: 0, stdout: "" });
  expect(ended.stderr).toContain(`${prompts}:2 is passed over: `);
  expect(rowsOf(readFileSync(out, "utf8")).map(({ id, sample }) => [id, sample])).toEqual([
    ["a", 0],
    ["a", 1],
  ]); // "plain" rows have a prompt
  expect((await generate(["--prompts", prompts, "--out", out])).stderr).toBe(`primekit: Could not create ${out}: it exists already.\n`);
});

test("a text file of prompts, one a line; an answer does not depend on its neighbours", async () => {
  const [two, one] = await Promise.all([
    generate(["--prompts", file("two.txt", "1+1\n\n3*3\n")]),
    generate(["--prompts", file("one.txt", "1+1\n"), "--slots", "1"]),
  ]);
  expect(rowsOf(two.stdout).map(({ id, prompt }) => [id, prompt])).toEqual([
    ["1", "1+1"],
    ["3", "3*3"],
  ]);
  expect(rowsOf(two.stdout)[0]).toEqual(rowsOf(one.stdout)[0]);
});

test("a chat: an answer for every line, the conversation goes on until /reset", async () => {
  const { code, stdout, stderr } = await generate(["--chat", "--temperature", "0"], "1+1\n2+2\n/reset\n1+1\n/exit\n3+3\n");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const [single] = await Promise.all([generate(["--prompt", "1+1", "--temperature", "0"])]);
  expect(stdout.startsWith(single.stdout)).toBe(true);
  expect(stdout.endsWith(single.stdout)).toBe(true);
  const second = stdout.slice(single.stdout.length, stdout.length - single.stdout.length);
  const tokenizer = await Tokenizer.load(model);
  using loaded = await Model.load(model);
  const history = [
    { role: "user", content: "1+1" },
    { role: "assistant", content: single.stdout.slice(0, -1) },
    { role: "user", content: "2+2" },
  ];
  const [answer] = await loaded.generate([tokenizer.encode(tokenizer.chat(history, { addGenerationPrompt: true }))], { maxNewTokens: 12, temperature: 0 });
  expect(second).toBe(`${tokenizer.decode(answer.tokens, { skipSpecialTokens: true })}\n`);
});

const refusals: [string[], string][] = [
  [[], "Give one of --prompt, --prompts and --chat."],
  [["--prompt", "1", "--chat"], "Give one of --prompt, --prompts and --chat."],
  [["--chat", "--samples", "2"], "--samples does not go with --chat."],
  [["--prompt", "1", "--stop", "[x"], '--stop begins with "[", so it must be a JSON list of texts'],
  [["--prompt", "1", "--topP", "0"], "The generation option topP has the value 0"],
  [["--prompts", "./nowhere.txt"], "Could not read ./nowhere.txt"],
];
for (const [args, message] of refusals) {
  test(`${args.join(" ") || "no prompt"} is refused in one sentence`, async () => {
    const { code, stderr } = await generate(args);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("    at ");
  });
}
