// The math verifier's child processes in Bun, Deno and Node: the same verdicts, and a process with an idle pool ends by itself.
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

setDefaultTimeout(120_000);

const ROOT = resolve(import.meta.dir, "../..");
const JS = join(ROOT, ".tmp", "math-js"); // inside the tree, where packages are found
const PROGRAM = "test/runtimes/math_verifier.ts";
const major = Number(/^v(\d+)/.exec(Bun.which("node") ? Bun.spawnSync(["node", "--version"]).stdout.toString() : "")?.[1] ?? 0);
if (major < 20) console.log(`skipped: Node 20 or later is not there (found ${major || "none"})`);

async function execute(command: string[]): Promise<string> {
  const child = Bun.spawn(command, { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  expect(code, `${command.join(" ")}: ${stderr}`).toBe(0);
  return stdout;
}

beforeAll(async () => {
  rmSync(JS, { recursive: true, force: true });
  mkdirSync(JS, { recursive: true });
  const options = {
    extends: "../../tsconfig.build.json",
    compilerOptions: { outDir: ".", rootDir: "../.." },
    include: [`../../${PROGRAM}`, "../../ts/verifiers/math/cas_child.ts"],
  };
  writeFileSync(join(JS, "tsconfig.json"), JSON.stringify(options));
  if (major >= 20) await execute([join(ROOT, "node_modules", ".bin", "tsc"), "-p", JS]);
});

test.each([
  ["Bun", [process.execPath, PROGRAM], true],
  ["Deno", [join(ROOT, "node_modules", ".bin", "deno"), "run", "-A", PROGRAM], true],
  ["Node, the TypeScript", ["node", "--experimental-strip-types", "--no-warnings", PROGRAM], major >= 22],
  ["Node, the JavaScript", ["node", join(JS, PROGRAM.replace(/\.ts$/, ".js"))], major >= 20],
] as [string, string[], boolean][])("%s", async (_, command, possible) => {
  if (!possible) return;
  const verdicts = JSON.parse(await execute(command)) as { outcome: string; reason: string }[];
  expect(verdicts.map(({ outcome }) => outcome)).toEqual(["correct", "correct", "timeout", "wrong", "correct"]);
  expect(verdicts[0].reason).toContain("by symbolic");
  expect(verdicts[1].reason).toContain("by sampling");
});
