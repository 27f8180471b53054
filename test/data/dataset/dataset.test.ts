// A dataset counts, lists, drops and holds out exactly; reads any row again; and spools what has no random access.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { questionHash } from "../../../ts/data/dataset/held_out.ts";
import { Dataset, type DatasetOptions } from "../../../ts/data/dataset.ts";
import { FIXTURES, hasShared, Scratch, shared } from "../support.ts";

const scratch = new Scratch();
beforeAll(() => scratch.open());
afterAll(() => scratch.close());

const open = (source: string, options: DatasetOptions = {}) => Dataset.open(source, { cacheDir: join(scratch.dir, "cache"), ...options });
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const rowsOf = (dataset: Dataset) => range(dataset.length).map((i) => dataset.at(i));
const jsonl = (n: number, from = 0) =>
  range(n)
    .map((i) => `${JSON.stringify({ prompt: `é ${from + i}`, answer: String(from + i) })}\n`)
    .join("");

test("rows by index, in any order, with their place", async () => {
  const file = await scratch.write("a.jsonl", `\uFEFF${jsonl(100)}\n\n${jsonl(1, 100)}`);
  const dataset = await open(file);
  expect(dataset.length).toBe(101);
  expect(dataset.at(100)).toEqual({ id: "a.jsonl:103", file, line: 103, prompt: "é 100", answer: "100" });
  for (const i of [57, 3, 99, 0, 16, 15]) expect(dataset.at(i)).toEqual({ id: `a.jsonl:${i + 1}`, file, line: i + 1, prompt: `é ${i}`, answer: String(i) });
  expect(dataset.report).toEqual({ source: file, files: 1, mapping: "plain", rows: 101, bad: 0, dropped: 0, excluded: 0, heldOut: 0, kept: 101, badRows: [] });
  dataset.close();
  expect(dataset.at(1).answer).toBe("1"); // opens the file again
  expect(() => dataset.at(101)).toThrow("index must be an integer in 0 .. 100, but got 101.");
  dataset.close();
});

test("shards of several formats of writing count on", async () => {
  await scratch.write("shards/train-1.jsonl.gz", gzipSync(jsonl(40, 30)));
  await scratch.write("shards/train-0.jsonl", jsonl(30));
  await scratch.write("shards/train-2.jsonl", jsonl(30, 70));
  await scratch.write("shards/test.jsonl", jsonl(30, 700));
  const dataset = await open(join(scratch.dir, "shards"));
  expect(rowsOf(dataset).map((row) => row.answer)).toEqual(range(100).map(String));
  expect(dataset.at(30)).toMatchObject({ id: "train-1.jsonl.gz:1", line: 1 });
  dataset.close();
  const other = await open(join(scratch.dir, "shards"), { split: "test" });
  expect(other.at(0).answer).toBe("700");
  other.close();
  const either = await open(join(scratch.dir, "shards"), { split: ["validation", "test"] });
  expect(either.at(0).answer).toBe("700");
  either.close();
  await expect(open(join(scratch.dir, "shards"), { split: "dev" })).rejects.toThrow("has no files of the split validation; there are test, train.");
});

test("configurations in folders are not mixed", async () => {
  for (const name of ["main", "socratic"]) await scratch.write(`configs/${name}/train-00000-of-00001.jsonl`, jsonl(3));
  await expect(open(join(scratch.dir, "configs"))).rejects.toThrow("has files of train in several folders (main, socratic); name one of these folders.");
  (await open(join(scratch.dir, "configs/main"))).close();
});

test("of a directory of several formats: the split first, then one format, or the one that is asked for", async () => {
  const dir = join(scratch.dir, "formats");
  await scratch.write("formats/README.md", "about it");
  await scratch.write("formats/stats.json", '{"rows":3}');
  await scratch.write("formats/train.jsonl", jsonl(3));
  await scratch.write("formats/test.csv", "prompt,answer\nq,from csv\n");
  const answersOf = async (options: DatasetOptions) => {
    const dataset = await open(dir, options);
    dataset.close();
    return rowsOf(dataset).map(({ answer }) => answer);
  };
  expect(await answersOf({})).toEqual(["0", "1", "2"]);
  expect(await answersOf({ split: "test" })).toEqual(["from csv"]);
  await scratch.write("formats/data/train-00000-of-00001.csv", "prompt,answer\nq,from csv\n");
  expect(await answersOf({})).toEqual(["0", "1", "2"]);
  expect(await answersOf({ format: "csv" })).toEqual(["from csv"]);
  await scratch.write("formats/more_train.csv", "prompt,answer\nr,more\n");
  await expect(answersOf({})).rejects.toThrow("more_train.csv may be other data than train.jsonl");
});

describe("bad rows", () => {
  test("are counted exactly and listed by file and line, up to a hundred", async () => {
    const file = await scratch.write(
      "bad.jsonl",
      range(500)
        .map((i) => (i % 4 === 0 ? "nonsense\n" : i % 4 === 1 ? '{"prompt":"p"}\n' : jsonl(1, i)))
        .join(""),
    );
    const dataset = await open(file, { needs: ["answer"], maxBadShare: 0.5 });
    expect(dataset.report).toMatchObject({ rows: 500, bad: 250, kept: 250 });
    expect(dataset.report.badRows).toHaveLength(100);
    expect(dataset.report.badRows[1]).toEqual({ file, line: 2, reason: "The row has no answer." });
    expect(rowsOf(dataset).map((row) => row.answer)).toEqual(
      range(500)
        .filter((i) => i % 4 > 1)
        .map(String),
    );
    dataset.close();
    const error = await open(file, { needs: ["answer"], maxBadShare: 0.49 }).catch((error) => error);
    expect(error.code).toBe("ERR_DATA");
    expect(error.message).toStartWith(`250 of 500 rows of ${file} are bad, more than the share of 0.49 that may be:\n  ${file}:1: The line is not valid JSON`);
  });

  test("stop the run early when there is nothing else", async () => {
    const file = await scratch.write("nothing.jsonl", "x\n".repeat(5000));
    await expect(open(file)).rejects.toThrow("1000 of 1000 rows of");
  });

  test("an error of a user's mapping is a reason, not a crash", async () => {
    const file = await scratch.write("own.jsonl", jsonl(100));
    const mapping = (row: Record<string, unknown>) => {
      if (row.answer === "7") throw new TypeError("seven");
      return { prompt: String(row.prompt), answer: String(row.answer) };
    };
    const dataset = await open(file, { mapping });
    expect(dataset.report.badRows).toEqual([{ file, line: 8, reason: "The mapping failed: seven." }]);
    dataset.close();
  });

  test("a dataset without rows, all too long, or a file changed under it", async () => {
    await expect(open(await scratch.write("empty.jsonl", "\n"))).rejects.toThrow("holds no rows that can be used.");
    const file = await scratch.write("c.jsonl", jsonl(50));
    await expect(open(file, { accept: () => false })).rejects.toThrow("all 50 good ones were dropped as too long.");
    const dataset = await open(file);
    writeFileSync(file, "x".repeat(3000));
    expect(() => dataset.at(40)).toThrow("was changed while it was in use: line 41 no longer holds a row.");
    dataset.close();
    rmSync(file);
    expect(() => dataset.at(40)).toThrow(`The file ${file} does not exist.`);
    dataset.close();
  });
});

test("accept drops and counts", async () => {
  const dataset = await open(await scratch.write("long.jsonl", jsonl(100)), { accept: (row) => Number(row.answer) % 3 > 0 });
  expect(dataset.report).toMatchObject({ dropped: 34, kept: 66 });
  dataset.close();
});

describe("rows held out", () => {
  test("are the same for every order of the file, share no question with the rest, and doubles stay out", async () => {
    const lines = jsonl(1000).trimEnd().split("\n");
    const once = await open(await scratch.write("h.jsonl", lines.join("\n")), { holdOut: 50 });
    expect(once.heldOut).toHaveLength(50);
    expect(once.report).toMatchObject({ rows: 1000, heldOut: 50, excluded: 0, kept: 950 });
    const smallest = rowsOf(once)
      .concat(once.heldOut)
      .map(questionHash)
      .sort((a, b) => a - b)
      .slice(0, 50);
    expect(once.heldOut.map(questionHash)).toEqual(smallest);
    const doubled = await open(await scratch.write("hh.jsonl", [...lines.toReversed(), ...lines].join("\n")), { holdOut: 50 });
    expect(doubled.heldOut.map((row) => row.prompt)).toEqual(once.heldOut.map((row) => row.prompt));
    expect(doubled.report).toMatchObject({ rows: 2000, heldOut: 50, excluded: 50, kept: 1900 });
    const asked = new Set(doubled.heldOut.map((row) => row.prompt));
    expect(rowsOf(doubled).filter((row) => asked.has(row.prompt))).toEqual([]);
    once.close();
    doubled.close();
  });

  test("of another file are left out of this one", async () => {
    const test = await open(await scratch.write("test.jsonl", jsonl(20, 90)));
    const train = await open(await scratch.write("train.jsonl", jsonl(100)), { exclude: new Set(rowsOf(test).map(questionHash)) });
    expect(train.report).toMatchObject({ excluded: 10, kept: 90 });
    const small = await open(join(scratch.dir, "test.jsonl"), { holdOut: 50 });
    expect(small.report).toMatchObject({ heldOut: 10, kept: 10 }); // never more than half
    small.close();
    test.close();
    train.close();
  });
});

describe("spooled formats", () => {
  test("are written once, keyed by the file's identity, with their bad rows", async () => {
    const cacheDir = join(scratch.dir, "spools");
    const file = await scratch.write(
      "s.csv",
      `prompt,answer\n${range(200)
        .map((i) => `"p\n${i}",${i}\n`)
        .join("")}x\n`,
    );
    const spools = () => readdirSync(join(cacheDir, "data")).sort();
    for (const _ of range(2)) {
      const dataset = await open(file, { cacheDir });
      expect(dataset.at(150)).toMatchObject({ prompt: "p\n150", answer: "150", line: 303 });
      expect(dataset.report).toMatchObject({ rows: 201, bad: 1, kept: 200 });
      expect(dataset.report.badRows[0].line).toBe(402);
      expect(spools()).toHaveLength(1);
      dataset.close();
    }
    const [first] = spools();
    appendFileSync(file, "more,1\n");
    utimesSync(file, 1, 1);
    const dataset = await open(file, { cacheDir });
    expect(dataset.length).toBe(201);
    expect(spools()).toHaveLength(2);
    expect(spools()).toContain(first);
    dataset.close();
  });

  test("Parquet with nested prompts, in three row groups", async () => {
    const dataset = await open(join(FIXTURES, "parquet/eurus_zstd.parquet"));
    expect(dataset.report).toMatchObject({ mapping: "eurus", rows: 10, kept: 10 });
    expect(dataset.at(9)).toMatchObject({ id: "numina_synthetic_math-dummy-9", answer: "10", ability: "math", line: 10 });
    expect(dataset.at(9).messages?.map(({ role }) => role)).toEqual(["system", "user"]);
    dataset.close();
  });

  test("a cut-off file leaves no spool", async () => {
    const cacheDir = join(scratch.dir, "cut");
    await expect(open(await scratch.write("cut.json", '[{"prompt":"a"},'), { cacheDir })).rejects.toMatchObject({ code: "ERR_DATA" });
    expect(readdirSync(join(cacheDir, "data"))).toEqual([]);
  });

  test("a cache folder that cannot be written", async () => {
    await scratch.write("file", "");
    const cacheDir = join(scratch.dir, "file");
    await expect(open(await scratch.write("d.json", "[]"), { cacheDir })).rejects.toMatchObject({ code: "ERR_IO" });
  });
});

test.skipIf(!hasShared("data/math/math-train"))("a real file: MATH with its four rows without answer", async () => {
  const dataset = await open(shared("data/math/math-train/train_math_math.json"), { needs: ["answer"] });
  expect(dataset.report).toMatchObject({ mapping: "math", rows: 7474, bad: 4, kept: 7470 });
  dataset.close();
});

test("an abort", async () => {
  const file = await scratch.write("abort.jsonl", jsonl(10));
  await expect(open(file, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ERR_ABORTED" });
});
