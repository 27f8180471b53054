// The cache of spools stays within its limit: the least recently used go, those that a running process reads stay.
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { boundSpools, spoolLimit, spoolPath } from "../../../ts/data/dataset/spool_cache.ts";
import { Dataset } from "../../../ts/data/dataset.ts";
import { Scratch } from "../support.ts";

setDefaultTimeout(30_000); // test machines are busy

const scratch = new Scratch();
beforeAll(() => scratch.open());
afterAll(() => scratch.close());
afterEach(() => {
  delete process.env.PRIMEKIT_CACHE_GB;
});

const DEAD = `${hostname()}-999999999-1`;

/** A cache of spools of 100 bytes each, used in the order of their names; `marks`: who reads them. */
function cacheOf(name: string, ids: readonly string[], marks: Record<string, string> = {}): string {
  const dir = join(scratch.dir, name);
  for (const folder of ["data", "uses"]) mkdirSync(join(dir, folder), { recursive: true });
  ids.forEach((id, i) => {
    writeFileSync(spoolPath(dir, id), "x".repeat(100));
    utimesSync(spoolPath(dir, id), 1000 + i, 1000 + i);
  });
  for (const [id, who] of Object.entries(marks)) writeFileSync(join(dir, "uses", `${id}.${who}`), "");
  return dir;
}
const left = (dir: string) =>
  readdirSync(join(dir, "data"))
    .map((file) => file.replace(/\.jsonl$/, ""))
    .sort();

test("nothing goes within the limit; beyond it the least recently used go first, and no more than must", async () => {
  const dir = cacheOf("order", ["d", "c", "b", "a"]);
  await boundSpools(dir, 400);
  expect(left(dir)).toEqual(["a", "b", "c", "d"]);
  await boundSpools(dir, 250);
  expect(left(dir)).toEqual(["a", "b"]);
  await boundSpools(dir, 0);
  expect(left(dir)).toEqual([]);
});

test("what a running process reads stays, even beyond the limit; marks of ended processes count no longer", async () => {
  const running = `${hostname()}-${process.pid}-${processStart()}`;
  const dir = cacheOf("used", ["a", "b", "c", "d"], { a: running, b: DEAD, c: "elsewhere-1-1", d: "elsewhere-1-1" });
  utimesSync(join(dir, "uses", "d.elsewhere-1-1"), 1000, 1000); // long ago
  await boundSpools(dir, 0);
  expect(left(dir)).toEqual(["a", "c"]);
  expect(readdirSync(join(dir, "uses")).sort()).toEqual([`a.${running}`, "c.elsewhere-1-1"]);
});

test("half-written files of ended processes go, those of running ones and files of other names stay", async () => {
  const dir = cacheOf("unfinished", []);
  const running = `${hostname()}-${process.pid}-${processStart()}`;
  const names = [`a.jsonl.${DEAD}.0.tmp`, `a.jsonl.${running}.3.tmp`, "notes.txt", "a.jsonl.8c7c0f6e.tmp", "b.jsonl.8c7c0f6e.tmp"];
  for (const name of names) writeFileSync(join(dir, "data", name), "x");
  utimesSync(join(dir, "data", "b.jsonl.8c7c0f6e.tmp"), 1000, 1000);
  await boundSpools(dir, 0);
  expect(readdirSync(join(dir, "data")).sort()).toEqual(["a.jsonl.8c7c0f6e.tmp", `a.jsonl.${running}.3.tmp`, "notes.txt"].sort());
});

test("a dataset makes room for its spool, keeps those of others that run, and is used again by its second opening", async () => {
  const cacheDir = cacheOf("datasets", ["old"]);
  process.env.PRIMEKIT_CACHE_GB = "0";
  const other = await scratch.write("other.csv", "prompt,answer\np,1\n");
  const child = Bun.spawn([process.execPath, "-e", PROGRAM, other, cacheDir], { stdout: "pipe", stderr: "inherit", stdin: "pipe", env: process.env });
  const reader = child.stdout.getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("open\n");
  const theirs = left(cacheDir);
  expect(theirs).toHaveLength(1); // "old" has gone
  expect(theirs).not.toContain("old");

  const dataset = await Dataset.open(await scratch.write("mine.csv", "prompt,answer\nq,2\n"), { cacheDir });
  dataset.close();
  expect(left(cacheDir)).toHaveLength(2);
  expect(left(cacheDir)).toContain(theirs[0]);
  expect(dataset.at(0).answer).toBe("2");
  dataset.close();
  child.stdin.write("go\n");
  child.stdin.end();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("1\n"); // its spool is still there
  expect(await child.exited).toBe(0);

  const [mine] = left(cacheDir).filter((id) => id !== theirs[0]);
  utimesSync(spoolPath(cacheDir, mine), 1000, 1000);
  const again = await Dataset.open(join(scratch.dir, "mine.csv"), { cacheDir });
  again.close();
  expect(left(cacheDir)).toEqual([mine]); // the ended process's went
  expect(statSync(spoolPath(cacheDir, mine)).mtimeMs).toBeGreaterThan(Date.now() - 60_000);
});

test("the limit comes from the environment, in gigabytes", () => {
  expect(spoolLimit()).toBe(20e9);
  process.env.PRIMEKIT_CACHE_GB = "1.5";
  expect(spoolLimit()).toBe(1.5e9);
  process.env.PRIMEKIT_CACHE_GB = "much";
  expect(() => spoolLimit()).toThrow('The environment variable PRIMEKIT_CACHE_GB must be a number of gigabytes, but is "much".');
});

/** As /proc says, apart from the code under test; "" where there is no /proc. */
function processStart(): string {
  if (!existsSync("/proc/self/stat")) return "";
  return Bun.spawnSync(["sh", "-c", `sed 's/.*) //' /proc/${process.pid}/stat | cut -d" " -f20`])
    .stdout.toString()
    .trim();
}

/** Opens a dataset, says so, and reads a row of it when it is told to. */
const PROGRAM = `
import { Dataset } from ${JSON.stringify(join(import.meta.dir, "../../../ts/data/dataset.ts"))};
const [file, cacheDir] = process.argv.slice(1);
const dataset = await Dataset.open(file, { cacheDir });
dataset.close();
console.log("open");
for await (const _ of console) { console.log(dataset.at(0).answer); break; }
dataset.close();
`;
