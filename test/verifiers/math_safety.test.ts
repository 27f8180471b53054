// Nothing that a model writes makes the math verifier slow, wrong afterwards, or lose a batch. Every check ends within its limit.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { CasPool } from "../../ts/verifiers/math/cas_pool.ts";
import { mathVerifier } from "../../ts/verifiers/math.ts";
import type { Item, Verdict } from "../../ts/verifiers/types.ts";
import { randomText, seeded } from "./math/random_text.ts";

setDefaultTimeout(120_000);

const LIMIT_MS = 1000;
const verifier = mathVerifier({ timeoutMs: LIMIT_MS });
const lenient = mathVerifier({ timeoutMs: LIMIT_MS, extract: "lenient" });
afterAll(() => Promise.all([verifier.close?.(), lenient.close?.()]));

const item = (answer: string, gold: string): Item => ({ prompt: "", response: `\\boxed{${answer}}`, answer: gold });
const SYMBOLIC = item("(x+1)^2", "x^2+2x+1");

/** The verdict and the time it took, children ready. A loaded machine may take the clock from us, so a late one may try again. */
async function timed(one: Item, by = verifier): Promise<{ verdict: Verdict; ms: number }> {
  for (let attempt = 1; ; attempt++) {
    await by.verify([SYMBOLIC, SYMBOLIC, SYMBOLIC, SYMBOLIC]);
    const start = performance.now();
    const [verdict] = await by.verify([one]);
    const ms = performance.now() - start;
    if (ms <= LIMIT_MS + 100 || attempt === 4) return { verdict, ms };
  }
}

/** Symbolic and cheap checks, the right ones and a wrong one; only a clock that ran out on a loaded machine is asked again. */
async function expectStillRight(by = verifier): Promise<void> {
  const items = [SYMBOLIC, item("(x+1)^2", "x^2+2x-1"), item("0.5", "\\frac12")];
  let outcomes: string[] = ["timeout"];
  for (let attempt = 0; attempt < 4 && outcomes.includes("timeout"); attempt++) outcomes = (await by.verify(items)).map(({ outcome }) => outcome);
  expect(outcomes).toEqual(["correct", "wrong", "correct"]);
}

const MEGABYTE = 1_000_000;
const NOT_JUDGED: [string, string, string][] = [
  ["a tower of powers", "9^{9^{9^9}}", "5"],
  ["a tower of powers against itself plus one", "9^{9^{9^9}}+1", "9^{9^{9^9}}"],
  ["a large factorial", "100000!", "5"],
  ["a sum of a billion terms", "\\sum_{i=1}^{10^9} \\frac{i^3}{i+\\sqrt{i}}", "5"],
  ["a power to expand", "(x+y+z)^{200}", "(x+y+z)^{199}(x+y+z)"],
  ["a power with a million terms", "(a+b+c+d+f)^{60}", "(a+b+c+d+f)^{59}(f+d+c+b+a)"],
  ["1 MB of braces", "{}".repeat(MEGABYTE / 2), "5"],
  ["fractions nested 500 deep", `${"\\frac{1}{1+".repeat(500)}1${"}".repeat(500)}`, "5"],
  ["brackets nested 1500 deep", `${"(".repeat(1500)}1${")".repeat(1500)}`, "5"],
  ["NUL bytes", "5\u0000", "5"],
  ["text that turns its direction round", "\u202e5\u202c", "5"],
  ["a sum of large fractions", Array.from({ length: 200 }, (_, i) => `\\frac{1}{${2 * i + 3}^{900}}`).join("+"), "5"],
  ["a hundred large factorials", Array.from({ length: 400 }, () => "1499!").join("/"), "5"],
  ["a hundred nested sums", Array.from({ length: 100 }, () => "\\sum_{k=1}^{300} k^{k}").join("+"), "5"],
  ["a division by zero", "\\frac{1}{0}", "5"],
  ["a long list", Array.from({ length: 500 }, (_, i) => i).join(", "), "1, 2"],
];

describe("ends within its limit, unjudged, and the next check is right", () => {
  test.each(NOT_JUDGED)("%s", async (_, answer, gold) => {
    const { verdict, ms } = await timed(item(answer, gold));
    expect(["timeout", "error"]).toContain(verdict.outcome);
    expect(verdict.score).toBe(0);
    expect(ms).toBeLessThanOrEqual(LIMIT_MS + 100);
    await expectStillRight();
  });
});

describe("ends at once", () => {
  test.each<[string, string]>([
    ["1 MB of open boxes", "\\boxed{".repeat(MEGABYTE / 7)],
    ["1 MB of closed boxes", "\\boxed{1},".repeat(MEGABYTE / 10)],
    ["1 MB of dollar signs", "$".repeat(MEGABYTE)],
    ["1 MB of dollar signs and letters", "$x ".repeat(MEGABYTE / 3)],
    ["1 MB of spaces", `the answer is${" ".repeat(MEGABYTE)}`],
    ["1 MB of backslashes", "\\".repeat(MEGABYTE)],
    ["1 MB of digits", "1".repeat(MEGABYTE)],
    ["1 MB of commas", "1,".repeat(MEGABYTE / 2)],
    ["1 MB of brackets", "\\(\\[".repeat(MEGABYTE / 4)],
    ["1 MB of answers", "the answer is\n".repeat(MEGABYTE / 14)],
    ["1 MB of minus signs", "-".repeat(MEGABYTE)],
    ["1 MB of fractions", "\\frac{".repeat(MEGABYTE / 6)],
    ["1 MB of primes", `x^{${"\\prime ".repeat(MEGABYTE / 7)}`],
  ])("%s", async (_, response) => {
    for (const by of [verifier, lenient]) {
      for (const answer of ["5", "C"]) {
        const { ms } = await timed({ prompt: "", response, answer }, by);
        expect(ms).toBeLessThan(LIMIT_MS + 100);
      }
      await by.verify([{ prompt: "", response: "\\boxed{5}", answer: response }]);
    }
  });

  test("lists of formulas that all must be compared with each other", async () => {
    const formulas = (add: number) => Array.from({ length: 90 }, (_, i) => `\\lfloor x^{${i + add}}\\sin(${i}x)/y \\rfloor`).join(", ");
    const { verdict, ms } = await timed(item(formulas(1), formulas(0)), lenient);
    expect(ms).toBeLessThan(LIMIT_MS + 100);
    expect(verdict.outcome).not.toBe("correct");
  });

  test("answers as long as are read, of every sign", async () => {
    for (const part of [
      "(",
      "[",
      "{",
      "\\frac",
      "\\sqrt",
      "^",
      "_",
      "-",
      "+",
      "!",
      "%",
      "'",
      "x",
      "1 ",
      "1,",
      "x=",
      "|",
      "\\pm 1",
      "\\sum",
      "\\text{a}",
      "\\begin{pmatrix}",
      "1&",
      "\\\\",
      "<",
      "±",
      "x(",
      "sin ",
      "1/",
      "a:",
      "\\cup ",
      "½",
      "1{,}",
    ]) {
      const { verdict, ms } = await timed(item(part.repeat(Math.floor(3900 / part.length)), `${part.repeat(8)}7`), lenient);
      expect(ms, part).toBeLessThan(LIMIT_MS + 100);
      expect(verdict.outcome, part).not.toBe("correct");
    }
  });
});

test("a number in powers of ten where LaTeX takes one digit is no fault", async () => {
  const verdicts = await verifier.verify([item("\\frac1e5", "5"), item("5", "\\frac1e5"), item("\\frac1.52", "5")]);
  expect(verdicts.map(({ outcome }) => outcome)).toEqual(["wrong", "wrong", "wrong"]);
});

test("seeded random strings: none takes longer than its limit, and the check after them is right", async () => {
  const count = 10_000;
  const random = seeded(20_26);
  let slowest = 0;
  for (let i = 0; i < count; i++) {
    const [answer, gold] = [randomText(random), random() < 0.5 ? randomText(random) : "x^2+1"];
    const start = performance.now();
    const [verdict] = await lenient.verify([random() < 0.5 ? item(answer, gold) : { prompt: "", response: answer, answer: gold }]);
    if (verdict.outcome !== "timeout") slowest = Math.max(slowest, performance.now() - start);
    expect(verdict.reason).not.toContain("fault");
    expect(verdict.score).toBe(verdict.outcome === "correct" ? 1 : 0);
  }
  expect(slowest).toBeLessThan(10 * LIMIT_MS); // a child that starts anew is waited for; no check hangs
  await expectStillRight(lenient);
});

describe("a batch", () => {
  const BOMB = item("(x+y+z)^{200}", "(x+y+z)^{199}(x+y+z)");

  test("keeps its order, reports its progress, and a check that is killed costs itself alone", async () => {
    const items = Array.from({ length: 60 }, (_, i) => (i === 7 ? BOMB : i % 3 === 0 ? SYMBOLIC : item(String(i), String(i - (i % 2)))));
    const progress: number[] = [];
    const patient = mathVerifier({ timeoutMs: 6000 }); // only the bomb runs out of this clock, however loaded the machine
    const verdicts = await patient.verify(items, { onProgress: (done, total) => progress.push(done, total) });
    await patient.close?.();
    expect(verdicts.map(({ outcome }) => outcome)).toEqual(items.map((_, i) => (i === 7 ? "timeout" : i % 3 === 0 || i % 2 === 0 ? "correct" : "wrong")));
    expect(progress).toEqual(Array.from({ length: 60 }, (_, i) => [i + 1, 60]).flat());
  });

  test("is judged the same twice", async () => {
    const items = [SYMBOLIC, item("n!", "n(n-1)!"), item("2\\sin b\\cos a", "\\sin(a+b)-\\sin(a-b)"), item("x", "y"), item("{", "}"), item("1/0", "2")];
    const patient = mathVerifier({ timeoutMs: 20_000 });
    expect(await patient.verify(items)).toEqual(await patient.verify(items));
    await patient.close?.();
  });

  test("ends with ERR_ABORTED soon after the signal, and the next one is right", async () => {
    const abort = new AbortController();
    await verifier.verify([SYMBOLIC]);
    const start = performance.now();
    setTimeout(() => abort.abort(), 100);
    const run = verifier.verify(
      Array.from({ length: 20 }, () => BOMB),
      { signal: abort.signal },
    );
    await expect(run).rejects.toMatchObject({ code: "ERR_ABORTED" });
    expect(performance.now() - start).toBeLessThan(3000); // 20 bombs would take 10 s
    await expect(verifier.verify([SYMBOLIC], { signal: abort.signal })).rejects.toMatchObject({ code: "ERR_ABORTED" });
    await expectStillRight();
  });

  test("goes on after close()", async () => {
    await verifier.close?.();
    await verifier.close?.();
    await expectStillRight();
  });
});

describe("the children", () => {
  const sum = (n: number) => ["Add", ...Array.from({ length: n }, (_, i) => `v${i + 1}`)];
  const HARD: [unknown, unknown] = [
    ["Power", sum(6), 60],
    ["Multiply", ["Power", sum(6), 59], sum(6)],
  ];
  const EASY: [unknown, unknown] = [
    ["Power", ["Add", "v1", 1], 2],
    ["Add", ["Power", "v1", 2], ["Multiply", 2, "v1"], 1],
  ];
  const isAlive = (pid: number) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };

  test("a child that dies costs the check it worked on", async () => {
    const pool = new CasPool({ processes: 1, timeoutMs: 20_000, memoryMb: 1024 });
    expect(await pool.ask(...EASY, 20_000)).toEqual({ equal: true });
    const [pid] = pool.pids;
    const asked = pool.ask(...HARD, 20_000);
    setTimeout(() => process.kill(pid, "SIGKILL"), 100);
    expect(await asked).toHaveProperty("failure");
    expect(await pool.ask(...EASY, 20_000)).toEqual({ equal: true });
    pool.close();
  });

  test("one that takes too much memory is killed and the next question is answered", async () => {
    const pool = new CasPool({ processes: 1, timeoutMs: 30_000, memoryMb: 400 });
    const answer = await pool.ask(["Power", ["Add", "v1", 1], 30_000], 1, 30_000);
    expect(answer).toMatchObject({ failure: expect.stringContaining("400 MB") });
    expect(await pool.ask(...EASY, 20_000)).toEqual({ equal: true });
    pool.close();
  });

  test("an abort frees the child at once; close() ends all", async () => {
    const pool = new CasPool({ processes: 2, timeoutMs: 30_000, memoryMb: 1024 });
    const abort = new AbortController();
    await Promise.all([pool.ask(...EASY, 30_000), pool.ask(...EASY, 30_000)]);
    const before = pool.pids;
    expect(before.length).toBe(2);
    const asked = pool.ask(...HARD, 30_000, abort.signal);
    setTimeout(() => abort.abort(), 50);
    expect(await asked).toHaveProperty("failure");
    pool.close();
    for (let i = 0; i < 100 && before.some(isAlive); i++) await Bun.sleep(20);
    expect(before.filter(isAlive)).toEqual([]);
  });
});
