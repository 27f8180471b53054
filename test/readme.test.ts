// The README tells the truth: its files exist, its code runs, its options are options.
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generateCommand } from "../ts/cli/generate.ts";
import { jobFlags } from "../ts/cli/job_config.ts";
import { sftFlags } from "../ts/cli/sft_config.ts";
import * as kernels from "../ts/kernels.ts";

const root = join(import.meta.dir, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = Array.from(readme.matchAll(/```(\w*)\n([\s\S]*?)```/g), ([, language, text]) => ({ language, text }));

test("every path of the layout tree exists", () => {
  const tree = blocks.find(({ text }) => text.startsWith("train.ts "))?.text ?? "";
  const paths: string[] = [];
  let folder = "";
  for (const line of tree.trimEnd().split("\n")) {
    const names = line
      .trim()
      .split(/\s{2,}/)[0]
      .split(" ");
    if (!line.startsWith(" ")) folder = names[0].endsWith("/") ? names[0] : "";
    paths.push(...names.map((name) => (line.startsWith(" ") ? folder + name : name)));
  }
  expect(paths.length).toBeGreaterThan(15);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test("every linked file exists", () => {
  const links = Array.from(readme.matchAll(/\]\(([^)#]+)\)/g), (match) => match[1]).filter((link) => !link.startsWith("http"));
  expect(links.length).toBeGreaterThan(3);
  expect(links.filter((link) => !existsSync(join(root, link)))).toEqual([]);
});

test("the kernel example runs and learns in the right direction", () => {
  const code = blocks.find(({ text }) => text.includes("implicitRewards("))?.text ?? "";
  const body = code.replace(/^import .*$/m, "").replace("console.log(", "return (");
  const run = new Function("implicitRewards", "primeAdvantages", "ppoClipLoss", body);
  const result = run(kernels.implicitRewards, kernels.primeAdvantages, kernels.ppoClipLoss);
  expect(result.scores[0]).toBeCloseTo(0.05 * (0.1 - 0.1 + 0.3), 6);
  expect(result.scores[1]).toBeCloseTo(0.05 * (-0.5 - 0.9), 6);
  // The right answer's tokens gain, the wrong one's lose: the gradient is downhill in the loss.
  expect(Math.max(...result.dLogprobs.subarray(0, 3))).toBeLessThan(0);
  expect(Math.min(...result.dLogprobs.subarray(3))).toBeGreaterThan(0);
});

test("every option that is named is one", () => {
  const known = new Set([...jobFlags(), ...sftFlags(), ...generateCommand.flags].map(({ name }) => name));
  const named = Array.from(readme.matchAll(/`--([a-zA-Z.]+)/g), (match) => match[1]).filter((name) => name !== "help");
  expect(named.length).toBeGreaterThan(2);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});
