// `primekit eval` as a user runs it: a report with pictures from a folder of benchmark files, resumed without work, and refusals before any.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arithmeticTask } from "../../ts/data/arithmetic.ts";
import { Model } from "../../ts/model.ts";
import { TINY } from "../support/models.ts";
import { ROOT } from "./support.ts";

setDefaultTimeout(120_000);

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "primekit-eval-cli-"));
  const task = arithmeticTask({ heldOutSize: 6 });
  const ids = { vocabSize: task.tokenizer.vocabSize, eosTokenId: task.tokenizer.eosId };
  for (const [name, seed] of [
    ["policy", 1],
    ["prm", 2],
  ] as const) {
    using model = await Model.load({ ...TINY, ...ids }, { seed });
    await model.save(join(dir, name));
    await task.tokenizer.save(join(dir, name));
  }
  const rows = task.heldOut.map(({ prompt, answer }) => JSON.stringify({ question: prompt, answer: `So it is #### ${answer}` }));
  await writeFile(join(dir, "gsm8k-test.jsonl"), `${rows.join("\n")}\n`);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function evaluate(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn([process.execPath, "run", join(ROOT, "ts/cli/bin.ts"), "eval", ...args], { cwd: dir, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, stdout, stderr };
}

test("report, pictures and answers; the second time nothing is computed again", async () => {
  const args = [
    "--model",
    "policy",
    "--prm",
    "prm",
    "--data",
    ".",
    "--samples",
    "4",
    "--maxNewTokens",
    "8",
    "--chatTemplate",
    "false",
    "--promptStyle",
    "none",
    "--out",
    "out",
  ];
  const first = await evaluate(...args);
  expect([first.code, first.stderr.match(/primekit: .*/)]).toEqual([0, null]);
  expect(first.stdout).toContain("weighted best of 4, minimum");
  expect(await readdir(join(dir, "out"))).toEqual(expect.arrayContaining(["answers", "gsm8k.svg", "report.json", "report.md", "rewards"]));
  const report = await readFile(join(dir, "out", "report.json"), "utf8");
  expect(JSON.parse(report).results[0].problems).toBe(6);
  const second = await evaluate(...args);
  expect(second.stderr).not.toContain("answers");
  expect(await readFile(join(dir, "out", "report.json"), "utf8")).toBe(report);
});

for (const [args, message] of [
  [[], "eval needs --model"],
  [["--model", "policy", "--benchmarks", "gsm9k"], 'There is no benchmark "gsm9k". Did you mean gsm8k?'],
  [["--model", "policy", "--data", ".", "--benchmarks", "mbpp"], "holds no file of mbpp"],
  [["--model", "policy", "--data", "nowhere"], "nowhere cannot be read"],
  [["--model", "policy", "--data", ".", "--verifier", "maths"], 'There is no verifier "maths"'],
] as const) {
  test(`eval ${args.join(" ")} is refused in a sentence`, async () => {
    const { code, stderr, stdout } = await evaluate(...args);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("fault in primekit");
    expect(stdout).toBe("");
  });
}
