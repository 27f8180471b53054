// `primekit verify`: counts, verdicts in the order of the rows, other field names, and clear refusals.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./support.ts";

setDefaultTimeout(120_000);

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "primekit-verify-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const verify = (...args: string[]) => run(["verify", ...args], "ts/cli/bin.ts");

function file(name: string, rows: unknown[]): string {
  const path = join(root, name);
  writeFileSync(path, rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
  return path;
}

test("counts by outcome, and verdicts by row", async () => {
  const data = file("answers.jsonl", [
    { id: "a", response: "So \\boxed{0.5}.", answer: "\\frac12" },
    { id: "b", response: "So \\boxed{(x+1)^2}.", answer: "x^2+2x+1" },
    { id: "c", response: "I do not know.", answer: 5 },
    { id: "d", response: "\\boxed{1/0}", answer: "5", ability: "math" },
    { id: "e", response: "\\boxed{1}", answer: "5", ability: "cooking" },
  ]);
  const out = join(root, "verdicts.jsonl");
  const { code, stdout, stderr } = await verify(data, "--out", out);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toMatch(/correct +2 +40\.0 %\nwrong +1 +20\.0 %\ntimeout +0 +0\.0 %\nerror +2 +40\.0 %\nanswers +5 .*\nmean score +0\.4000\n$/);
  const verdicts = readFileSync(out, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(verdicts.map(({ line, id, outcome, score, extracted }) => [line, id, outcome, score, extracted])).toEqual([
    [1, "a", "correct", 1, "0.5"],
    [2, "b", "correct", 1, "(x+1)^2"],
    [3, "c", "wrong", 0, null],
    [4, "d", "error", 0, "1/0"],
    [5, "e", "error", 0, null],
  ]);
  expect(verdicts[0].reason).toContain("exact value");
});

test("other fields, lenient extraction, a verifier by name", async () => {
  const data = file("other.jsonl", [{ output: "The answer is 12.", gold: "12" }]);
  const { code, stdout } = await verify("--data", data, "--verifier", "math", "--extract", "lenient", "--responseField", "output", "--answerField", "gold");
  expect([code, /correct +1 /.test(stdout)]).toEqual([0, true]);
});

test.each<[string, (string | object)[] | undefined, string[], RegExp, number]>([
  ["no file", undefined, [], /Give the file to verify/, 2],
  ["a missing field", [{ response: "1" }], [], /line 1: the row has no answer in a field "answer"; its fields are response\. Name it with --answerField\./, 1],
  ["a response that is no text", [{ response: 1, answer: "1" }], [], /line 1: the row has no response/, 1],
  ["a line that is no JSON", [{ response: "1", answer: "1" }, "{"], [], /line 2/, 1],
  ["an empty file", [], [], /no rows|empty/, 1],
  ["an unknown verifier", [{ response: "1", answer: "1" }], ["--verifier", "maths"], /There is no verifier "maths"\. Did you mean math\?/, 2],
  ["an unknown extraction", [{ response: "1", answer: "1" }], ["--extract", "all"], /--extract must be one of boxed, lenient/, 2],
  ["a place that cannot be written", [{ response: "1", answer: "1" }], ["--out", "/dev/null/verdicts"], /Cannot write the verdicts/, 1],
])("refuses %s", async (name, rows, args, sentence, status) => {
  const data = rows === undefined ? [] : [file(`${name.replaceAll(" ", "_")}.jsonl`, rows)];
  const { code, stdout, stderr } = await verify(...data, ...args);
  expect(stderr).toMatch(sentence);
  expect(stderr).not.toContain("fault in primekit");
  expect([code, stdout]).toEqual([status, ""]);
});
