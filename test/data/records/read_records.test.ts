// Every format gives the same rows; what cannot be read is named by file and line, or refused as a file.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { readRecords } from "../../../ts/data/records/read_records.ts";
import { FIXTURES, hasShared, readAll, Scratch, shared } from "../support.ts";

const scratch = new Scratch();
beforeAll(() => scratch.open());
afterAll(() => scratch.close());

const rows = Array.from({ length: 300 }, (_, i) => ({ id: String(i), text: `row ${i}: "é中😀", a\\nb [x] {y} ${"z".repeat((i * 7919) % 3000)}` }));
const jsonl = rows.map((row) => JSON.stringify(row)).join("\n");
const csv = ["id,text", ...rows.map(({ id, text }) => `${id},"${text.replaceAll('"', '""')}"`)].join("\r\n");
const table = { id: Object.fromEntries(rows.map(({ id }, i) => [i, id])), text: Object.fromEntries(rows.map(({ text }, i) => [i, text])) };

describe("the same rows from", () => {
  const forms: [string, string | Uint8Array][] = [
    ["a.jsonl", jsonl],
    ["crlf.jsonl", `\uFEFF${jsonl.replaceAll("\n", "\r\n")}\r\n`],
    ["a.ndjson", `${jsonl}\n`],
    ["a.jsonl.gz", gzipSync(jsonl)],
    ["array.json", JSON.stringify(rows)],
    ["pretty.json", `\uFEFF\n ${JSON.stringify(rows, null, 2)}\n`],
    ["array.json.gz", gzipSync(JSON.stringify(rows))],
    ["lines.json", jsonl],
    ["table.json", JSON.stringify(table, null, 1)],
    ["a.csv", csv],
    ["a.csv.gz", gzipSync(`\uFEFF${csv}\r\n`)],
    ["a.tsv", csv.replace("id,text", "id\ttext").replaceAll(/^(\d+),/gm, "$1\t")],
  ];
  for (const [name, content] of forms) {
    test(name, async () => {
      const file = await scratch.write(name, content);
      const { rows: read, bad } = await readAll(file);
      expect(read.map(({ record }) => record)).toEqual(rows);
      expect(bad).toEqual([]);
      expect(read.every((row) => row.file === file)).toBe(true);
      const header = /[ct]sv/.test(name) ? 1 : 0; // lines of the file, where the format has lines
      expect(read.map(({ line }) => line)).toEqual(rows.map((_, i) => i + 1 + header));
    });
  }

  test("a directory of shards, in name order; hidden files and descriptions are no data", async () => {
    const lines = jsonl.split("\n");
    await scratch.write("shards/train-00001.jsonl", lines.slice(100, 200).join("\n"));
    await scratch.write("shards/train-00000.jsonl.gz", gzipSync(lines.slice(0, 100).join("\n")));
    await scratch.write("shards/train-00002.jsonl", lines.slice(200).join("\n"));
    await scratch.write("shards/README.md", "about");
    await scratch.write("shards/dataset_infos.json", "{}");
    await scratch.write("shards/.hidden.jsonl", "{}");
    const { rows: read } = await readAll(join(scratch.dir, "shards"));
    expect(read.map(({ record }) => record)).toEqual(rows);
    expect(read[100]).toMatchObject({ file: join(scratch.dir, "shards/train-00001.jsonl"), line: 1 });
  });
});

describe("Parquet", () => {
  const expected = (i: number) => ({
    data_source: "numina_synthetic_math",
    prompt: [
      { content: "Think in steps.", role: "system" },
      { content: `What is ${i} + 1? é中😀\n\nPresent the answer in LaTex format: \\boxed{Your answer}`, role: "user" },
    ],
    ability: "math",
    reward_model: { ground_truth: String(i + 1), style: "rule" },
    extra_info: { index: i, split: "dummy" },
  });
  for (const compression of ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]) {
    test(`nested columns, ${compression}, three row groups`, async () => {
      const { rows: read } = await readAll(join(FIXTURES, `parquet/eurus_${compression}.parquet`));
      expect(read.map(({ record }) => record)).toEqual(Array.from({ length: 10 }, (_, i) => expected(i)));
      expect(read.map(({ line }) => line)).toEqual(Array.from({ length: 10 }, (_, i) => i + 1));
    });
  }

  test("integers, dates, lists and nulls as JSON has them", async () => {
    const { rows: read } = await readAll(join(FIXTURES, "parquet/types.parquet"));
    expect(read.map(({ record }) => record)).toEqual([
      { small: 1, large: 2 ** 53 - 1, real: 0.5, day: "2024-02-29T00:00:00.000Z", flag: true, list: [1, 2], text: "" },
      { small: null, large: "9007199254740993", real: null, day: null, flag: false, list: [], text: "é" },
      { small: -3, large: "-4611686018427387904", real: -1.25, day: "1970-01-01T00:00:00.000Z", flag: null, list: null, text: null },
    ]);
  });

  test.skipIf(!hasShared("models/verl-digit-completion/train.parquet"))("a real file", async () => {
    const { rows: read } = await readAll(shared("models/verl-digit-completion/train.parquet"));
    expect(read).toHaveLength(800);
    expect(read[0].record.prompt).toMatchObject([{ role: "user" }]);
  });

  test("cut off or damaged anywhere: a clear error or other rows, never a crash", async () => {
    const whole = readFileSync(join(FIXTURES, "parquet/eurus_snappy.parquet"));
    for (let size = 0; size < whole.length; size += 97) {
      const file = await scratch.write("cut.parquet", whole.subarray(0, size));
      await expect(readAll(file)).rejects.toMatchObject({ code: "ERR_DATA" });
    }
    for (let at = 0; at < whole.length; at += 61) {
      const damaged = Buffer.from(whole);
      damaged[at] ^= 0xff;
      const outcome = await readAll(await scratch.write("damaged.parquet", damaged)).catch((error) => error.code);
      if (typeof outcome === "string") expect(outcome).toBe("ERR_DATA");
    }
  });
});

describe("bad rows are skipped and named", () => {
  test("lines", async () => {
    const good = '{"a":1}';
    const file = await scratch.write(
      "bad.jsonl",
      Buffer.concat([Buffer.from(`${good}\n\n[1]\n{"a":\n"x"\n  \nnull\n`), Buffer.from([0x22, 0xff, 0x22, 10]), Buffer.from(good)]),
    );
    const { rows: read, bad } = await readAll(file);
    expect(read.map(({ line }) => line)).toEqual([1, 9]);
    expect(bad.map(({ line }) => line)).toEqual([3, 4, 5, 7, 8]);
    expect(bad[0]).toEqual({ file, line: 3, reason: "The row is an array, not an object." });
    expect(bad[1].reason).toStartWith("The line is not valid JSON (");
    expect(bad[4].reason).toBe("The line is not valid UTF-8.");
  });

  test("elements of an array", async () => {
    const { rows: read, bad } = await readAll(await scratch.write("bad.json", '[{"a":1}, 7, {"a":}, {"a":"]"}, {"a":2}]'));
    expect(read.map(({ record }) => record)).toEqual([{ a: 1 }, { a: "]" }, { a: 2 }]);
    expect(bad.map(({ line }) => line)).toEqual([2, 3]);
  });

  test("CSV rows of another length", async () => {
    const { rows: read, bad } = await readAll(await scratch.write("bad.csv", "a,b\n1,2\n3\n4,5,6\n\n7,8\n"));
    expect(read.map(({ record, line }) => [record, line])).toEqual([
      [{ a: "1", b: "2" }, 2],
      [{ a: "7", b: "8" }, 6],
    ]);
    expect(bad.map(({ line }) => line)).toEqual([3, 4]);
  });
});

describe("refused as a file", () => {
  const wrong: [string, string | Uint8Array, RegExp][] = [
    ["none.jsonl.gz", gzipSync(jsonl).subarray(0, 500), /none\.jsonl\.gz is damaged or cut off/],
    ["text.jsonl.gz", "hello", /text\.jsonl\.gz is damaged or cut off/],
    ["cut.json", JSON.stringify(rows).slice(0, 5000), /cut\.json is cut off: its array does not end \(\d elements were read\)/],
    ["after.json", "[{}] {}", /goes on after the end of its array/],
    ["broken.json", '{"a": {"b"', /broken\.json is not valid JSON/],
    ["empty.json", " \n", /empty\.json is empty/],
    ["open.csv", 'a,b\n1,"2\n3,4\n', /open\.csv cannot be read as CSV: Quote Not Closed/],
    ["twice.csv", "a,a\n1,2\n", /names the column "a" twice/],
    ["unnamed.csv", "a,\n1,2\n", /column without a name/],
    ["notes.txt", "x", /does not say what it holds; known are \.jsonl,/],
    ["x.parquet.gz", "x", /does not say what it holds/],
  ];
  for (const [name, content, sentence] of wrong) {
    test(name, async () => {
      const file = await scratch.write(name, content);
      const error = await readAll(file).catch((error) => error);
      expect(error).toMatchObject({ name: "PrimekitError", code: "ERR_DATA" });
      expect(error.message).toMatch(sentence);
    });
  }

  test("nothing there, no data, two formats", async () => {
    await expect(readAll(join(scratch.dir, "nothing"))).rejects.toThrow(`There is no file or directory ${join(scratch.dir, "nothing")}.`);
    await scratch.write("texts/README.md", "x");
    await expect(readAll(join(scratch.dir, "texts"))).rejects.toThrow("holds no data files");
    await symlink(join(scratch.dir, "nowhere"), join(scratch.dir, "texts/broken.jsonl"));
    await expect(readAll(join(scratch.dir, "texts"))).rejects.toMatchObject({ code: "ERR_IO" });
    await scratch.write("mixed/a.csv", "a\n1\n");
    await scratch.write("mixed/b.jsonl", "{}");
    await expect(readAll(join(scratch.dir, "mixed"))).rejects.toThrow(
      "files of several formats (csv, jsonl), and a.csv may be other data than b.jsonl; name one of them, or a format (data.format; of sft: format).",
    );
    expect((await readAll(join(scratch.dir, "mixed"), { format: "csv" })).rows.map(({ record }) => record)).toEqual([{ a: "1" }]);
    await expect(readAll(join(scratch.dir, "mixed"), { format: "parquet" })).rejects.toThrow("holds no parquet files; there are csv, jsonl.");
  });

  test("the same data in several formats is read once, in the best of them", async () => {
    const line = (from: string) => `{"from":"${from}"}\n`;
    await scratch.write("copies/README.md", "about it");
    await scratch.write("copies/all.csv", "from\ncsv\n");
    await scratch.write("copies/all.json", '[{"from":"json"}]');
    const from = async () => (await readAll(join(scratch.dir, "copies"))).rows.map(({ record }) => record.from);
    expect(await from()).toEqual(["csv"]);
    await scratch.write("copies/jsonl/all-00000-of-00002.jsonl", line("first shard"));
    await scratch.write("copies/jsonl/all-00001-of-00002.jsonl", line("second shard"));
    expect(await from()).toEqual(["first shard", "second shard"]);
    await scratch.write("copies/extra/all.csv", "from\nanother folder\n"); // a configuration of its own, for all its name says
    await expect(from()).rejects.toThrow("extra/all.csv may be other data than jsonl/all-00000-of-00002.jsonl");
  });

  test("an abort, between two pieces", async () => {
    const file = await scratch.write("long.jsonl", `${jsonl}\n`.repeat(20));
    const controller = new AbortController();
    let read = 0;
    const reading = (async () => {
      for await (const _ of readRecords(file, { signal: controller.signal })) if (++read === 1000) controller.abort();
    })();
    await expect(reading).rejects.toMatchObject({ code: "ERR_ABORTED" });
    expect(read).toBeLessThan(6000);
    await expect(readAll(file, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ERR_ABORTED" });
    await expect(readAll(file, { format: "csv", signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ERR_ABORTED" });
  });
});
