// One addon, every runtime: the same kernel call and five training steps give the same bits in Bun, Deno and Node.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

setDefaultTimeout(120_000);

const ROOT = resolve(import.meta.dir, "../..");
const JS = join(ROOT, ".tmp", "runtimes-js"); // inside the tree, where packages and the addon are found
const PROGRAM = "test/runtimes/steps.ts";

interface Result {
  norms: number[];
  tokens: number[];
  [name: string]: unknown;
}

async function run(command: string[]): Promise<Result> {
  const child = Bun.spawn(command, { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  expect(code, `${command.join(" ")}: ${stderr}`).toBe(0);
  return JSON.parse(stdout);
}

/** Major version of the `node` on PATH; 0 when there is none. */
function nodeMajor(): number {
  const node = Bun.which("node");
  const version = node ? Bun.spawnSync([node, "--version"]).stdout.toString() : "";
  return Number(/^v(\d+)/.exec(version)?.[1] ?? 0);
}

let inBun: Result;
beforeAll(async () => {
  inBun = await run([process.execPath, PROGRAM]);
});

describe("the same bits", () => {
  test("in Bun, a second time", async () => {
    expect(inBun.norms).toHaveLength(5);
    expect(inBun.tokens).toHaveLength(8);
    expect(await run([process.execPath, PROGRAM])).toEqual(inBun);
  });

  test("in Deno", async () => {
    expect(await run([join(ROOT, "node_modules", ".bin", "deno"), "run", "-A", PROGRAM])).toEqual(inBun);
  });

  const node = nodeMajor();
  if (node < 22) console.log(`skipped: TypeScript in Node needs version 22 or later (found ${node || "none"})`);
  test.skipIf(node < 22)("in Node, running the TypeScript directly", async () => {
    expect(await run(["node", "--experimental-strip-types", "--no-warnings", PROGRAM])).toEqual(inBun);
  });

  if (node < 20) console.log(`skipped: the JavaScript output needs Node 20 or later (found ${node || "none"})`);
  test.skipIf(node < 20)("in Node, running the JavaScript output", async () => {
    rmSync(JS, { recursive: true, force: true });
    mkdirSync(JS, { recursive: true });
    const options = {
      extends: "../../tsconfig.build.json",
      compilerOptions: { outDir: ".", rootDir: "../.." },
      include: ["../../ts", "../../train.ts", `../../${PROGRAM}`],
    };
    writeFileSync(join(JS, "tsconfig.json"), JSON.stringify(options));
    const build = Bun.spawnSync([join(ROOT, "node_modules", ".bin", "tsc"), "-p", JS]);
    expect(build.exitCode, build.stdout.toString()).toBe(0);
    expect(await run(["node", "--no-warnings", join(JS, PROGRAM.replace(/\.ts$/, ".js"))])).toEqual(inBun);
    const info = Bun.spawnSync(["node", "--no-warnings", join(JS, "ts/cli/bin.js"), "info"], { cwd: ROOT });
    expect(info.stdout.toString()).toContain("matrix products");
  });
});
