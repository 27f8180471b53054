// Benchmarks by name from the real files, and an evaluation end to end with a tiny model: interrupted, resumed, extended, reported.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { appendFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { arithmeticTask } from "../../ts/data/arithmetic.ts";
import type { DatasetRow } from "../../ts/data/dataset.ts";
import { type BenchmarkName, benchmarks, findBenchmark, readBenchmark } from "../../ts/eval/benchmark/benchmarks.ts";
import { type EvaluateOptions, evaluateBenchmark } from "../../ts/eval/benchmark/evaluate.ts";
import { linesOf, renderBars, renderSvg } from "../../ts/eval/benchmark/plot.ts";
import { renderMarkdown, summaryRows } from "../../ts/eval/benchmark/report.ts";
import { Model } from "../../ts/model.ts";
import { TINY } from "../support/models.ts";

setDefaultTimeout(60_000);

const DATA = resolve(import.meta.dir, "../../../shared/data");
const hasData = existsSync(DATA);
if (!hasData) console.log("skipped: the benchmark files of ../shared/data are not here");

const COUNTS: Record<BenchmarkName, number> = {
  aime2024: 30,
  amc: 83,
  math500: 500,
  minerva: 272,
  olympiad: 675,
  gsm8k: 1319,
  humaneval: 164,
  mbpp: 399,
  leetcode: 180,
};

describe("the published benchmarks", () => {
  for (const name of Object.keys(benchmarks) as BenchmarkName[]) {
    test.skipIf(!hasData)(`${name} is found by its name and read whole`, async () => {
      const file = (await findBenchmark(name, DATA)) as string;
      const rows = await readBenchmark(name, file);
      expect(rows.length).toBe(COUNTS[name]);
      for (const row of rows) {
        expect(row.answer).not.toBe("");
        expect(row.ability).toBe(benchmarks[name].ability);
      }
    });
  }
});

describe("an evaluation", () => {
  let dir: string;
  let model: Model;
  let prm: Model;
  const task = arithmeticTask({ heldOutSize: 12 });
  const rows = task.heldOut.map(({ id, prompt, answer }, i): DatasetRow => ({ id, prompt, answer, file: "held-out", line: i + 1 }));
  let generated = 0;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "primekit-eval-"));
    const ids = { vocabSize: task.tokenizer.vocabSize, eosTokenId: task.tokenizer.eosId };
    model = await Model.load({ ...TINY, ...ids }, { seed: 1, trainable: false });
    prm = await Model.load({ ...TINY, ...ids }, { seed: 2, trainable: false });
  });
  afterAll(async () => {
    model.close();
    prm.close();
    await rm(dir, { recursive: true, force: true });
  });

  const counting = {
    generate: async (...args: Parameters<Model["generate"]>) => {
      const rollouts = await model.generate(...args);
      generated += rollouts.length;
      return rollouts;
    },
  };
  const options = (changes: Partial<EvaluateOptions> & { samples: number }): EvaluateOptions => ({
    name: "gsm8k",
    title: "Sums",
    rows,
    openModel: async () => counting,
    modelId: "tiny",
    tokenizer: task.tokenizer,
    verifier: task.verifier,
    sampling: { samples: changes.samples, temperature: 1, topP: 1, maxNewTokens: 12, seed: 3, slots: 8 },
    promptStyle: "none",
    chatTemplate: false,
    dir,
    ...changes,
  });
  const lines = async (folder: string) => {
    const [file] = await readdir(join(dir, folder));
    return (await readFile(join(dir, folder, file), "utf8")).trim().split("\n");
  };

  test("stops when told, keeps what it has, and goes on from there; more samples later leave the earlier ones", async () => {
    const controller = new AbortController();
    const stop = (_: string, done: number) => done >= 16 && controller.abort();
    await expect(evaluateBenchmark(options({ samples: 4, signal: controller.signal, onProgress: stop }))).rejects.toThrow();
    const first = await lines("answers");
    expect(first.length).toBeGreaterThanOrEqual(16);
    expect(first.length).toBeLessThan(60);
    await appendFile(join(dir, "answers", (await readdir(join(dir, "answers")))[0]), '{"problem":3,"sam'); // a crash in the middle of a line
    generated = 0;
    const result = await evaluateBenchmark(options({ samples: 4 }));
    expect(generated).toBe(60 - first.length);
    expect((await lines("answers")).slice(0, first.length)).toEqual(first);
    expect(result.problems).toBe(12);
    expect(result.curve.map(({ n }) => n)).toEqual([1, 2, 4]);
    expect(result.curve[0].best).toBeUndefined();
    generated = 0;
    await evaluateBenchmark(options({ samples: 6 }));
    expect(generated).toBe(24);
    expect((await lines("answers")).slice(0, first.length)).toEqual(first);
    generated = 0;
    expect(await evaluateBenchmark(options({ samples: 4 }))).toEqual(result);
    expect(generated).toBe(0);
  });

  test("answers end at the tokenizer's end of text and at all ends that the model's settings name", async () => {
    const own = await mkdtemp(join(tmpdir(), "primekit-eval-"));
    const ends: ArrayLike<number>[] = [];
    const generate: Model["generate"] = (prompts, o) => {
      ends.push(o.stop?.tokens ?? []);
      return model.generate(prompts, o);
    };
    const openModel = async () => ({ generate, config: { ...model.config, eosTokenIds: [7, 9] } });
    await evaluateBenchmark(options({ samples: 0, dir: own, openModel }));
    expect(ends.length).toBeGreaterThan(0);
    for (const tokens of ends) expect(Array.from(tokens)).toEqual([task.tokenizer.eosId, 7, 9]);
    await rm(own, { recursive: true });
  });

  test("answers do not depend on how they were batched or interrupted", async () => {
    const whole = await mkdtemp(join(tmpdir(), "primekit-eval-"));
    const again = options({ samples: 6, dir: whole });
    await evaluateBenchmark({ ...again, sampling: { ...again.sampling, slots: 3 } });
    const [file] = await readdir(join(whole, "answers"));
    const sorted = (text: string[]) => text.toSorted();
    expect(sorted((await readFile(join(whole, "answers", file), "utf8")).trim().split("\n"))).toEqual(sorted(await lines("answers")));
    await rm(whole, { recursive: true });
  });

  test("with a PRM every aggregation has its column; figures can be followed to the answers", async () => {
    let judged = 0;
    const open = async () => {
      judged++;
      return { prm, reference: model };
    };
    const withPrm = options({ samples: 6, prm: { open, id: "p", beta: 0.05, maxTokensPerBatch: 4096 } });
    const result = await evaluateBenchmark(withPrm);
    expect(Object.keys(result.curve.at(-1)?.best ?? {})).toEqual(["minimum", "mean", "last", "sum"]);
    expect((await lines("rewards")).length).toBe(72);
    await evaluateBenchmark(withPrm);
    expect(judged).toBe(1);
    const entries = (await lines("answers")).map((line) => JSON.parse(line));
    const greedy = entries.filter(({ sample }) => sample === -1);
    expect(result.greedy.value).toBeCloseTo(greedy.reduce((sum, { score }) => sum + score, 0) / 12, 12);
    expect(existsSync(join(dir, result.answersFile))).toBe(true);
    const report = { version: 1 as const, model: "tiny", settings: { samples: 6 }, results: [result] };
    const markdown = renderMarkdown(report, { gsm8k: "gsm8k.svg" });
    for (const piece of ["| greedy (pass@1) |", "best of 6, minimum", "weighted best of 6, sum", result.answersFile, "![Sums](gsm8k.svg)"])
      expect(markdown).toContain(piece);
    expect(summaryRows([result]).length).toBe(12);
  });

  test("another seed, prompt or model never meets another's answers", async () => {
    generated = 0;
    await evaluateBenchmark(options({ samples: 0, modelId: "other" }));
    expect(generated).toBe(12);
    await evaluateBenchmark(options({ samples: 0, rows: rows.slice(0, 5) }));
    expect(generated).toBe(17);
  });
});

test("a picture says what it shows, and nothing in a label becomes mark-up", () => {
  const point = (n: number, value: number) => ({ n, value, low: value - 0.1, high: value + 0.1 });
  const lines = [{ label: "<b>pass</b>", points: [point(1, 0.3), point(2, 0.5), point(4, 0.7)] }];
  const svg = renderSvg("A & B", lines);
  expect(svg).toContain("&#60;b&#62;pass");
  expect(svg).toContain("A &#38; B");
  expect(svg.match(/<circle/g)?.length).toBe(3);
  expect(renderBars(lines)).toContain("▃▆█");
  expect(linesOf({ name: "", title: "", problems: 0, greedy: point(1, 0), curve: [], truncated: 0, undecided: 0, answersFile: "" })).toEqual([]);
});
