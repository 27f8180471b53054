// The code verifier: the three forms of tests, scores, order, progress, abort, a child's death, the life of the pool.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { codeVerifier } from "../../ts/verifiers/code.ts";
import type { Verdict } from "../../ts/verifiers/types.ts";
import { codeItem } from "../support/code_data.ts";

setDefaultTimeout(300_000);

const ROOT = resolve(import.meta.dir, "../..");
const verifier = codeVerifier({ processes: 2 });
const fractions = codeVerifier({ processes: 1, score: "fraction", samplesPerProcess: 3 });
afterAll(() => Promise.all([verifier.close?.(), fractions.close?.()]));

const judge = async (code: string, answer: unknown, by = verifier) => (await by.verify([codeItem(code, JSON.stringify(answer))]))[0];

/** [solution, tests, outcome, score, part of the reason] */
type Case = [code: string, answer: unknown, outcome: Verdict["outcome"], score: number, reason?: string];

async function expectVerdicts(cases: Case[], by = verifier): Promise<void> {
  const verdicts = await by.verify(cases.map(([code, answer]) => codeItem(code, JSON.stringify(answer))));
  for (const [i, [code, , outcome, score, reason]] of cases.entries()) {
    expect(verdicts[i], code).toMatchObject({ outcome, score });
    expect(verdicts[i].reason).toContain(reason ?? "");
    expect(verdicts[i].reason).toEndWith(".");
  }
}

test("functions", async () => {
  const add = { fn_name: "add", inputs: [[1, 2], "3\n4", [[5], [6]]], outputs: [3, "7", [5, 6]] };
  await expectVerdicts([
    ["def add(a, b): return a + b", add, "correct", 1, "All 3 tests passed."],
    ["class Solution:\n    def add(self, a: int, b) -> Optional[int]:\n        return a + b", add, "correct", 1], // names of typing are there
    ["def add(a, b): return a - b", add, "wrong", 0, "Test 1: the result is not the expected one."],
    ["def add(a, b): return a + b if a != 3 else 0", add, "wrong", 0, "Test 2"],
    ["def plus(a, b): return a + b", add, "wrong", 0, "does not define add"], // operator.add is not the solution's
    ["def add(a): return a", add, "wrong", 0, "TypeError"],
    ["def add(a, b) return a", add, "wrong", 0, "SyntaxError"],
    ["import numpy\ndef add(a, b): return a + b", add, "wrong", 0, "No module named 'numpy'"],
    ["def add(a, b): return a + b\nif __name__ == '__main__': print(add(*input()))", add, "correct", 1],
    ["def f(x): return (x, [x / 3], {str(x): None})", { fn_name: "f", inputs: [[1]], outputs: [[1, [0.3333333333], { 1: null }]] }, "correct", 1],
    ["def f(d): return d[1]", { fn_name: "f", inputs: [[{ 1: "a" }]], outputs: ["a"] }, "correct", 1],
  ]);
  const big = '{"fn_name":"f","inputs":[[123456789012345678901]],"outputs":[123456789012345678902]}';
  expect((await verifier.verify([codeItem("def f(x): return x + 1", big), codeItem("def f(x): return x + 2", big)])).map(({ score }) => score)).toEqual([1, 0]);
});

test("programs", async () => {
  const sum = { inputs: ["1 2\n", "10 20\n"], outputs: ["3\n", "30"] };
  await expectVerdicts([
    ["print(sum(map(int, input().split())))", sum, "correct", 1],
    ["import sys\nprint(sum(int(x) for line in sys.stdin for x in line.split()))", sum, "correct", 1],
    ["print(sum(map(int, open('/dev/stdin').read().split())), file=open('/dev/stdout', 'w'))", sum, "correct", 1],
    ["print(sum(map(int, open(0).read().split())), end='')", sum, "correct", 1],
    ["import sys\na, b = sys.stdin.buffer.read().split()\nsys.stdout.write(str(int(a) + int(b)))\nsys.exit(0)", sum, "correct", 1],
    ["import os\nos.write(1, str(sum(map(int, input().split()))).encode())\nos._exit(1)", sum, "correct", 1],
    ["def main():\n    print(sum(map(int, input().split())))\nif __name__ == '__main__': main()", sum, "correct", 1],
    [
      "import sys, threading\nsys.setrecursionlimit(10**6)\ndef main(): print(sum(map(int, input().split())))\nt = threading.Thread(target=main)\nt.start()\nt.join()",
      sum,
      "correct",
      1,
    ],
    ["import asyncio\nasync def main(): print(await asyncio.sleep(0.01, sum(map(int, input().split()))))\nasyncio.run(main())", sum, "correct", 1],
    ["def depth(n): return 0 if n == 0 else 1 + depth(n - 1)\nassert depth(50_000) == 50_000\nprint(sum(map(int, input().split())))", sum, "correct", 1],
    ["print(3)", sum, "wrong", 0, "Test 2: the output is not the expected one."],
    ["print(3)\nraise ValueError('no')", sum, "wrong", 0, "Test 1: ValueError: no."],
    ["input(), input()", sum, "wrong", 0, "EOFError"],
    ["print('äöü', '漢', input())", { inputs: ["é"], outputs: ["äöü 漢 é"] }, "correct", 1],
    ["x = 5", { inputs: [""], outputs: [""] }, "correct", 1],
  ]);
});

test("test snippets", async () => {
  const sort = { tests: ["x = [3, 1]\nassert f(x) is None\nassert x == [1, 3]"], entry_point: "f" };
  const check = {
    tests: ["def check(candidate):\n    assert candidate(2) == 4"],
    prefix: "import math\ndef helper(x): return x * x\ndef f(x):\n    '''Squares.'''\n",
    entry_point: "f",
  };
  await expectVerdicts([
    ["def f(x): x.sort()", sort, "correct", 1], // what is done to an argument comes back
    ["def f(x): return sorted(x)", sort, "wrong", 0, "AssertionError"],
    ["def f(x): return helper(x)", check, "correct", 1],
    ["    return helper(x)", check, "correct", 1], // a completion of the prompt
    ["    return math.pi", check, "wrong", 0],
    ["def g(x): return x * x", check, "wrong", 0],
    [
      "class P:\n    def __init__(self, v): self.v = v\n    def __len__(self): return self.v\ndef f(p): return p.v + 1",
      { tests: ["p = P(3)\nassert f(p) == 4 and len(p) == 3\np.v = 5\nassert f(p) == 6"] },
      "correct",
      1,
    ],
    ["def f(n): return (i * i for i in range(n))", { tests: ["assert list(f(3)) == [0, 1, 4]"] }, "correct", 1],
    [
      "def f(): return {1: {2, 3}, 'a': (1.5, b'x', 1j, None), 2**70: range(3)}",
      { tests: ["assert f() == {1: {2, 3}, 'a': (1.5, b'x', 1j, None), 2**70: range(3)}"] },
      "correct",
      1,
    ],
    ["def f(): raise KeyError('k')", { tests: ["try:\n    f()\n    assert False\nexcept KeyError: pass"] }, "correct", 1],
    ["def sum(a, b): return a - b", { tests: ["assert sum(10, 15) == -5"] }, "correct", 1], // the only function that is called: it is meant
    ["def f(x): return x", { tests: ["assert f(1) == 1", "assert f(2) == 3"] }, "wrong", 0, "Test 2: AssertionError."],
    ["def f(x): return x", { tests: ["assert f(1) == "] }, "error", 0, "SyntaxError"],
    ["def f(x): return x", { tests: ["assert f(1) == 1"], setup: "import nothing_such" }, "error", 0, "nothing_such"],
    ["def f(x): return x(1)", { tests: ["assert f(lambda y: y) == 1"] }, "error", 0, "cannot be handed over"],
  ]);
});

test("broken or empty tests are an error, and never a pass", async () => {
  const answers = ["", "{}", "[]", '{"tests":[]}', '{"inputs":[],"outputs":[]}', '{"inputs":["1"],"outputs":[]}', "{"];
  const verdicts = await verifier.verify(answers.map((answer) => codeItem("x = 1", answer)));
  expect(verdicts.map(({ outcome, score }) => [outcome, score])).toEqual(answers.map(() => ["error", 0]));
});

test("a fraction of the tests, for every form; only all of them is correct", async () => {
  await expectVerdicts(
    [
      ["def f(x): return 1", { fn_name: "f", inputs: [[1], [2], [3], [1]], outputs: [1, 2, 3, 1] }, "wrong", 0.5, "2 of 4 tests passed. Test 2"],
      ["def f(x): return x", { fn_name: "f", inputs: [[1], [2]], outputs: [1, 2] }, "correct", 1],
      ["print(1)", { inputs: ["", "", "", ""], outputs: ["0", "1", "1", "1"] }, "wrong", 0.75],
      ["def f(x): return 1", { tests: ["assert f(1) == 1", "assert f(2) == 2", "assert f(0) == 0", "assert f(1) == 1"] }, "wrong", 0.5],
      ["import os\ndef f(x): return x if x < 2 else os._exit(0)", { fn_name: "f", inputs: [[1], [2], [1], [1]], outputs: [1, 2, 1, 1] }, "wrong", 0.25],
      ["def f(x):\n    while x > 1: pass\n    return x", { fn_name: "f", inputs: [[1]], outputs: [1] }, "correct", 1],
    ],
    fractions,
  );
});

test("a batch keeps its order and tells its progress; a response without a program is wrong", async () => {
  const answer = JSON.stringify({ fn_name: "f", inputs: [[1]], outputs: [1] });
  const codes = Array.from({ length: 12 }, (_, i) => (i % 3 === 0 ? "def f(x): return x" : "def f(x): return 0"));
  const seen: number[] = [];
  const items = [...codes.map((code) => codeItem(code, answer)), { prompt: "", response: "```js\nf\n```", answer }];
  const verdicts = await verifier.verify(items, { onProgress: (done, total) => seen.push(done * 100 + total) });
  expect(verdicts.map(({ score }) => score)).toEqual([1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0]);
  expect(seen).toEqual(items.map((_, i) => (i + 1) * 100 + items.length));
  expect(verdicts[0].extracted).toBe("def f(x): return x");
  expect(verdicts.at(-1)).toEqual({ score: 0, outcome: "wrong", extracted: undefined, reason: "The response has no Python program." });
});

test("an abort ends the batch soon, and the verifier goes on", async () => {
  const controller = new AbortController();
  const items = Array.from({ length: 6 }, () => codeItem("while True: pass", JSON.stringify({ inputs: [""], outputs: ["1"] })));
  const running = verifier.verify(items, { signal: controller.signal });
  setTimeout(() => controller.abort(new Error("enough")), 300);
  await expect(running).rejects.toMatchObject({ code: "ERR_ABORTED" });
  await expect(verifier.verify(items, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ERR_ABORTED" });
  expect(await judge("print(1)", { inputs: [""], outputs: ["1"] })).toMatchObject({ outcome: "correct" });
});

test("a child that dies costs its sample only", async () => {
  const own = codeVerifier({ processes: 1 });
  try {
    const before = new Set(childrenOf(process.pid));
    expect(await judge("print(1)", { inputs: [""], outputs: ["1"] }, own)).toMatchObject({ outcome: "correct" });
    const [child] = childrenOf(process.pid).filter((pid) => !before.has(pid));
    const sample = judge("while True: pass", { inputs: [""], outputs: ["1"] }, own);
    await Bun.sleep(200);
    process.kill(child, "SIGKILL");
    expect(await sample).toMatchObject({ outcome: "error", score: 0, reason: expect.stringContaining("SIGKILL") });
    expect(await judge("print(1)", { inputs: [""], outputs: ["1"] }, own)).toMatchObject({ outcome: "correct" });
  } finally {
    await own.close?.();
  }
});

test("close() ends the children; a closed verifier starts new ones when it is used again", async () => {
  const own = codeVerifier({ processes: 1 });
  const before = new Set(childrenOf(process.pid));
  expect(await judge("print(1)", { inputs: [""], outputs: ["1"] }, own)).toMatchObject({ outcome: "correct" });
  const started = childrenOf(process.pid).filter((pid) => !before.has(pid));
  expect(started).toHaveLength(1);
  await own.close?.();
  expect(childrenOf(process.pid)).not.toContain(started[0]);
  expect(await judge("print(1)", { inputs: [""], outputs: ["1"] }, own)).toMatchObject({ outcome: "correct" });
  await own.close?.();
});

test("close() in the middle of a batch: what is left is an error, and no child stays", async () => {
  const own = codeVerifier({ processes: 1 });
  const before = new Set(childrenOf(process.pid));
  const item = codeItem("while True: pass", JSON.stringify({ inputs: [""], outputs: ["1"] }));
  const batch = own.verify([item, item, item]);
  await Bun.sleep(300);
  await own.close?.();
  expect((await batch).map(({ outcome }) => outcome)).toEqual(["error", "error", "error"]);
  expect(childrenOf(process.pid).filter((pid) => !before.has(pid))).toEqual([]);
});

test("bad options are refused by name", () => {
  expect(() => codeVerifier({ score: "some" as never })).toThrow('score must be "all" or "fraction"');
  for (const name of ["timeLimit", "memoryLimit", "processes", "samplesPerProcess"] as const) expect(() => codeVerifier({ [name]: 0 })).toThrow(name);
  expect(() => codeVerifier({ timeLimit: Number.NaN })).toThrow("timeLimit");
});

describe("as a program of its own", () => {
  const SCRIPT = `
import { codeVerifier } from "TS/verifiers/code.ts";
const verifier = codeVerifier({ processes: 1 });
const tests = JSON.stringify({ inputs: ["2\\n"], outputs: ["4"] });
const items = ["print(int(input()) ** 2)", "print(5)"].map((code) => ({ prompt: "", response: code, answer: tests }));
try {
  console.log((await verifier.verify(items)).map(({ outcome }) => outcome).join(" "));
} catch (error) {
  console.log(error.code, error.message);
}
`; // without close(): an idle pool does not keep it
  const folder = join(ROOT, ".tmp", `code-verifier-${process.pid}`);
  const write = (name: string, ts: string) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), SCRIPT.replace("TS", ts));
    return join(folder, name);
  };
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function output(command: string[], env: Record<string, string> = {}): Promise<string> {
    const child = Bun.spawn(command, { cwd: ROOT, stdout: "pipe", stderr: "pipe", env: { ...process.env, ...env } });
    const [text, errors, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
    expect(code, errors).toBe(0);
    return text.trim();
  }

  test("it runs in Bun and Deno, and ends by itself", async () => {
    const file = write("run.ts", join(ROOT, "ts"));
    expect(await output([process.execPath, file])).toBe("correct wrong");
    expect(await output([join(ROOT, "node_modules", ".bin", "deno"), "run", "-A", "--no-check", file])).toBe("correct wrong");
  });

  const node = Bun.which("node");
  test.skipIf(!node)("it runs as JavaScript in Node", async () => {
    const js = join(folder, "js");
    mkdirSync(js, { recursive: true });
    const options = {
      extends: "../../../tsconfig.build.json",
      compilerOptions: { outDir: ".", rootDir: "../../.." },
      include: ["../../../ts/verifiers/code.ts", "../../../ts/verifiers/code/**/*"],
    };
    writeFileSync(join(js, "tsconfig.json"), JSON.stringify(options));
    await output([join(ROOT, "node_modules", ".bin", "tsc"), "-p", js]);
    const file = write("run.mjs", join(js, "ts"));
    writeFileSync(file, SCRIPT.replace("TS", join(js, "ts")).replace("code.ts", "code.js"));
    expect(await output([node ?? "", file])).toBe("correct wrong");
  });

  test("without Deno, it says how to get it, and runs nothing", async () => {
    const js = join(folder, "alone"); // no node_modules above, nothing on PATH
    const outside = join("/tmp", `primekit-alone-${process.pid}`);
    rmSync(js, { recursive: true, force: true });
    mkdirSync(outside, { recursive: true });
    try {
      Bun.spawnSync(["cp", "-r", join(ROOT, "ts"), outside]);
      writeFileSync(join(outside, "run.ts"), SCRIPT.replace("TS", join(outside, "ts")));
      const child = Bun.spawn([process.execPath, join(outside, "run.ts")], {
        cwd: outside,
        stdout: "pipe",
        stderr: "pipe",
        env: { PATH: "/nonexistent", PRIMEKIT_SETUP: "off" },
      });
      expect(await new Response(child.stdout).text()).toBe(
        "ERR_UNSUPPORTED The code verifier needs Deno, in which it locks up the programs it runs, and it was not found. Install it with: npm install deno\n",
      );
    } finally {
      rmSync(outside, { recursive: true, force: true });
    }
  });
});

// --- internal ---

function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return text.trim().split(" ").filter(Boolean).map(Number);
}
