// One addon, every runtime: the same kernel call and five training steps give the same bits in Bun, Deno and Node.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { fingerprint, TINY } from "../cli/support.ts";

setDefaultTimeout(120_000);

const ROOT = resolve(import.meta.dir, "../..");
const JS = join(ROOT, ".tmp", "runtimes-js"); // inside the tree, where packages and the addon are found
const PROGRAM = "test/runtimes/steps.ts";
const ROWS = "test/runtimes/rows.ts";

interface Result {
  norms: number[];
  tokens: number[];
  [name: string]: unknown;
}

async function execute(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  expect(code, `${command.join(" ")}: ${stderr}`).toBe(0);
  return stdout;
}

const run = async (command: string[]): Promise<Result> => JSON.parse(await execute(command));

/** Major version of the `node` on PATH; 0 when there is none. */
function nodeMajor(): number {
  const node = Bun.which("node");
  const version = node ? Bun.spawnSync([node, "--version"]).stdout.toString() : "";
  return Number(/^v(\d+)/.exec(version)?.[1] ?? 0);
}

/** All sources, this test's program among them, as JavaScript. */
async function compile(): Promise<void> {
  rmSync(JS, { recursive: true, force: true });
  mkdirSync(JS, { recursive: true });
  const options = {
    extends: "../../tsconfig.build.json",
    compilerOptions: { outDir: ".", rootDir: "../.." },
    include: ["../../ts", "../../train.ts", `../../${PROGRAM}`, `../../${ROWS}`],
  };
  writeFileSync(join(JS, "tsconfig.json"), JSON.stringify(options));
  await execute([join(ROOT, "node_modules", ".bin", "tsc"), "-p", JS]);
}

const node = nodeMajor();
if (node < 22) console.log(`skipped: TypeScript in Node needs version 22 or later (found ${node || "none"})`);
if (node < 20) console.log(`skipped: the JavaScript output needs Node 20 or later (found ${node || "none"})`);

const RUNTIMES: { name: string; command: string[]; program: (path: string) => string; possible: boolean }[] = [
  { name: "Deno", command: [join(ROOT, "node_modules", ".bin", "deno"), "run", "-A"], program: (path) => path, possible: true },
  {
    name: "Node, running the TypeScript directly",
    command: ["node", "--experimental-strip-types", "--no-warnings"],
    program: (path) => path,
    possible: node >= 22,
  },
  {
    name: "Node, running the JavaScript output",
    command: ["node", "--no-warnings"],
    program: (path) => join(JS, path.replace(/\.ts$/, ".js")),
    possible: node >= 20,
  },
];

let inBun: Result;
let jobInBun: Record<string, string>;
let runs: string;
beforeAll(async () => {
  runs = mkdtempSync(join(tmpdir(), "primekit-runtimes-"));
  inBun = await run([process.execPath, PROGRAM]);
  await execute([process.execPath, "train.ts", "--runs", runs, "--run", "bun", ...TINY]);
  jobInBun = fingerprint(join(runs, "bun"));
  if (node >= 20) await compile();
}, 120_000);
afterAll(() => rmSync(runs, { recursive: true, force: true }));

describe("a kernel call and five training steps give the same bits", () => {
  test("in Bun, a second time", async () => {
    expect(inBun.norms).toHaveLength(5);
    expect(inBun.tokens).toHaveLength(8);
    expect(await run([process.execPath, PROGRAM])).toEqual(inBun);
  });

  for (const { name, command, program, possible } of RUNTIMES) {
    test.skipIf(!possible)(`in ${name}`, async () => {
      expect(await run([...command, program(PROGRAM)])).toEqual(inBun);
    });
  }
});

describe("the main job, from fine-tuning to the last checkpoint, gives the same metrics and weights", () => {
  for (const { name, command, program, possible } of RUNTIMES) {
    test.skipIf(!possible)(`in ${name}`, async () => {
      const id = name.replaceAll(/\W+/g, "-");
      await execute([...command, program("train.ts"), "--runs", runs, "--run", id, ...TINY]);
      expect(fingerprint(join(runs, id))).toEqual(jobInBun);
    });
  }
});

describe("a dataset of every format gives the same rows", () => {
  const read = async (command: string[], name: string) => JSON.parse(await execute([...command, join(runs, "data"), join(runs, `cache-${name}`)]));
  let rows: { name: string; rows: unknown[]; bad: string[] }[];
  beforeAll(async () => {
    mkdirSync(join(runs, "data"));
    const lines = Array.from({ length: 50 }, (_, i) => ({ prompt: `é中😀 ${i}`, answer: String(i) }));
    const jsonl = lines.map((line) => JSON.stringify(line)).join("\n");
    writeFileSync(join(runs, "data", "a.jsonl"), `${jsonl}\nnonsense\n`);
    writeFileSync(join(runs, "data", "b.jsonl.gz"), gzipSync(jsonl));
    writeFileSync(join(runs, "data", "c.json"), JSON.stringify(lines, null, 1));
    writeFileSync(join(runs, "data", "d.csv"), `prompt,answer\nshort\n${lines.map(({ prompt, answer }) => `"${prompt}\n",${answer}`).join("\n")}`);
    cpSync(join(ROOT, "test/fixtures/parquet/eurus_zstd.parquet"), join(runs, "data", "e.parquet"));
    rows = await read([process.execPath, ROWS], "bun");
    expect(rows.map((file) => [file.name, file.rows.length, file.bad.length])).toEqual([
      ["a.jsonl", 48, 1],
      ["b.jsonl.gz", 48, 0],
      ["c.json", 48, 0],
      ["d.csv", 48, 1],
      ["e.parquet", 8, 0],
    ]);
  });

  for (const { name, command, program, possible } of RUNTIMES) {
    test.skipIf(!possible)(`in ${name}`, async () => {
      expect(await read([...command, program(ROWS)], name.replaceAll(/\W+/g, "-"))).toEqual(rows);
    });
  }
});

test.skipIf(node < 20)("primekit info runs as JavaScript in Node", async () => {
  expect(await execute(["node", "--no-warnings", join(JS, "ts/cli/bin.js"), "info"])).toContain("matrix products");
});
