// The examples, run as a reader runs them, say what their texts promise.
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { buildCLibrary } from "../scripts/build_c.ts";
import { findProgram } from "../ts/native/setup/build_key.ts";

const ROOT = resolve(import.meta.dir, "..");
const LIMIT = 120_000; // each example promises to take less than two minutes

async function outputOf(file: string): Promise<string> {
  const child = Bun.spawn([process.execPath, "run", join("examples", file)], { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  const [output, errors, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  expect(code, errors).toBe(0);
  return output;
}

function succeed(command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: ROOT });
  expect(exitCode, `${stdout}${stderr}`).toBe(0);
  return stdout.toString();
}

const percentAfter = (output: string, text: string) => Number(new RegExp(`${text}\\s*(\\d+) %`).exec(output)?.[1]);

test(
  "01: both policies learn the secret, ahead with process rewards",
  async () => {
    const output = await outputOf("01_kernels.ts");
    const rows = Array.from(output.matchAll(/^\s*(\d+)\s+(\d+) %\s+(\d+) %$/gm), (row) => row.slice(1).map(Number));
    expect(rows).toHaveLength(10);
    expect(rows[0].slice(1)).toEqual([10, 10]); // guessing
    const averages = [percentAfter(output, "mean over all steps:"), percentAfter(output, "rewards only,")];
    expect(averages[1]).toBeGreaterThan(averages[0]);
    expect(Math.min(...rows[9].slice(1))).toBeGreaterThan(85);
  },
  LIMIT,
);

test(
  "02: the rewards find the wrong steps, though no step was ever labelled",
  async () => {
    const output = await outputOf("02_implicit_rewards.ts");
    expect(percentAfter(output, "higher reward than a wrong one in")).toBeGreaterThan(85);
    const shown = Array.from(output.matchAll(/^\s+(-?\d+\.\d\d) {2}\[ADVANCE\] \S+ *(<- wrong)?$/gm), ([, reward, wrong]) => ({
      reward: Number(reward),
      wrong: Boolean(wrong),
    }));
    const rewards = (wrong: boolean) => shown.filter((step) => step.wrong === wrong).map((step) => step.reward);
    expect(rewards(true).length).toBeGreaterThanOrEqual(4);
    expect(Math.max(...rewards(true))).toBeLessThan(Math.min(...rewards(false)));
    expect(output).toContain("token by token");
  },
  LIMIT,
);

test(
  "03: the loop by hand puts the bad habits right",
  async () => {
    const output = await outputOf("03_prime_by_hand.ts");
    const [before, after] = [percentAfter(output, "before:"), percentAfter(output, "after:")];
    expect(before).toBeLessThan(60);
    expect(after).toBeGreaterThan(85);
    const pairs = Array.from(output.matchAll(/right answer in (\d+) % of the pairs/g), (match) => Number(match[1]));
    expect(pairs.reduce((a, b) => a + b) / pairs.length).toBeGreaterThan(65);
  },
  LIMIT,
);

test(
  "04: PRIME on a JSONL file unlearns what its responses do wrong",
  async () => {
    const output = await outputOf("04_your_own_data.ts");
    const [before, after] = [percentAfter(output, "before:"), percentAfter(output, "after:")];
    expect(before).toBeLessThan(45);
    expect(after).toBeGreaterThan(before + 25);
    const model = /saved in (\S+)/.exec(output)?.[1] ?? "";
    expect(readdirSync(model)).toEqual(expect.arrayContaining(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]));
    rmSync(dirname(model), { recursive: true });
  },
  LIMIT,
);

test(
  "05: a checkpoint that learned a game over two turns plays games it never saw",
  async () => {
    const output = await outputOf("05_chat.ts");
    const [right, asked] = (/(\d+) of (\d+) answers are right/.exec(output) ?? []).slice(1).map(Number);
    expect(asked).toBe(22);
    expect(right).toBeGreaterThan(16);
    expect(output).toContain("you:   5+0\nmodel: 5\nyou:   +0\n");
  },
  LIMIT,
);

test(
  "06: verifiers for mathematics, code and a task of one's own",
  async () => {
    const output = await outputOf("06_verifiers.ts");
    const verdicts = Array.from(output.matchAll(/^ {2}(correct|wrong|timeout|error) +(\d\.\d) {2}/gm), ([, outcome, score]) => `${outcome} ${score}`);
    const math = ["correct 1.0", "correct 1.0", "wrong 0.0", "wrong 0.0"];
    const code = ["correct 1.0", "wrong 0.5", "correct 1.0", "timeout 0.0", "correct 1.0", "wrong 0.0", "wrong 0.0", "error 0.0"];
    expect(verdicts).toEqual([...math, ...code, "correct 1.0", "correct 1.0", "correct 1.0"]);
  },
  LIMIT,
);

test(
  "07: outcomes alone point at the wrong step, where likelihood does not",
  async () => {
    const output = await outputOf("07_find_the_wrong_step.ts");
    expect(percentAfter(output, "is the wrong one in")).toBeGreaterThanOrEqual(80);
    expect(percentAfter(output, "by chance:")).toBeLessThanOrEqual(25);
    expect(percentAfter(output, "finds least likely:")).toBeLessThan(60);
    const file = /The picture: (\S+\.html)/.exec(output)?.[1] ?? "";
    expect(await Bun.file(join(ROOT, file)).text()).toStartWith("<!doctype html>");
    expect(output).toContain("✗ wrong");
  },
  LIMIT,
);

test.skipIf(!findProgram("cmake"))(
  "08: a C++ trainer learns with the library's kernels",
  () => {
    const library = dirname(buildCLibrary());
    const program = join(mkdtempSync(join(tmpdir(), "primekit-08-")), "trainer");
    const paths = ["-Inative/include", `-L${library}`, "-lprimekit", `-Wl,-rpath,${library}`];
    succeed([process.env.CXX ?? "c++", "-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", "examples/08_embed/trainer.cpp", ...paths, "-o", program]);
    const rows = Array.from(succeed([program]).matchAll(/^ *(\d+) +(\d+) % +[\d.]+ +(\d+) %/gm), (row) => row.slice(1).map(Number));
    rmSync(dirname(program), { recursive: true });
    expect(rows).toHaveLength(7);
    expect(rows[0][1]).toBeLessThan(25);
    expect(rows[6][1]).toBeGreaterThan(85);
    expect(rows[6][2]).toBeGreaterThan(90);
  },
  LIMIT * 5, // of the library's first build
);

const torch = process.env.PRIMEKIT_PEER_PYTHON;
test.skipIf(!findProgram("cmake") || !torch)(
  "08: the kernels on PyTorch's tensors say what PyTorch does",
  () => {
    const lines = succeed([torch as string, "examples/08_embed/torch_ctypes.py", buildCLibrary()])
      .trim()
      .split("\n");
    expect(lines.length).toBeGreaterThanOrEqual(10);
    expect(lines.every((line) => /differ by [\d.e-]+$/.test(line))).toBe(true);
  },
  LIMIT * 5,
);
