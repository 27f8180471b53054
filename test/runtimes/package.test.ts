// The package as others install it: what it holds, and that Bun, Deno and Node find everything in it.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { loadAddon } from "../../ts/native/addon.ts";

setDefaultTimeout(120_000);

const ROOT = resolve(import.meta.dir, "../..");
const MANIFEST = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const TOOLS = join(ROOT, "node_modules", ".bin");

/** A project of somebody else's with the package installed: copied as `files` says, its dependencies beside it. */
let project: string;
let installed: string;
beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "primekit-package-"));
  installed = join(project, "node_modules", "primekit");
  for (const name of ["package.json", ...MANIFEST.files]) if (name !== "dist/ts") cpSync(join(ROOT, name), join(installed, name), { recursive: true });
  const build = Bun.spawnSync([join(TOOLS, "tsc"), "-p", "tsconfig.build.json", "--outDir", join(installed, "dist")], { cwd: ROOT });
  expect(build.exitCode, build.stdout.toString()).toBe(0);
  for (const name of readdirSync(join(ROOT, "node_modules"))) {
    if (name.startsWith(".") || name === "primekit") continue;
    mkdirSync(dirname(join(project, "node_modules", name)), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), join(project, "node_modules", name));
  }
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

async function execute(command: string[], env: Record<string, string> = {}): Promise<string> {
  const child = Bun.spawn(command, { cwd: project, env: { ...process.env, NO_COLOR: "1", ...env }, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  expect(code, `${command.join(" ")}: ${stderr}`).toBe(0);
  return stdout;
}

test("holds what its exports and its program name, and all that the native build reads", () => {
  const targets = [...Object.values(MANIFEST.exports).flatMap((entry) => Object.values(entry as object)), ...Object.values(MANIFEST.bin)] as string[];
  expect(targets.filter((path) => !existsSync(join(installed, path)))).toEqual([]);
  for (const path of ["CMakeLists.txt", "binding.gyp", "native/ops/backend.h", "native/include/primekit.h", "native/cuda", "native/binding"])
    expect(existsSync(join(installed, path)), path).toBe(true);
});

const PROGRAM = `
import { implicitRewards } from "primekit/kernels";
import { createVerifier, Model } from "primekit";
const one = Float32Array.of(-1, -2);
const { scores } = implicitRewards(one, one.map((x) => 2 * x), Int32Array.of(0, 2), { beta: 0.5 });
const verifier = createVerifier("math");
const [{ outcome }] = await verifier.verify([{ prompt: "", response: "\\\\boxed{(x+1)^2}", answer: "x^2+2x+1" }]);
await verifier.close();
console.log(JSON.stringify([scores[0], typeof Model.load, outcome]));
`;

describe("its exports work from another project", () => {
  const { path: addon } = loadAddon();
  const runtimes: [string, string[], string][] = [
    ["Bun", [process.execPath, "run"], "program.ts"],
    ["Deno", [join(TOOLS, "deno"), "run", "-A"], "program.ts"],
    ["Node", ["node"], "program.mjs"],
  ];
  for (const [name, command, file] of runtimes) {
    const possible = Bun.which(command[0]) !== null;
    if (!possible) console.log(`skipped: there is no ${name}`);
    test.skipIf(!possible)(`in ${name}, also what starts a process`, async () => {
      writeFileSync(join(project, file), PROGRAM);
      expect(JSON.parse(await execute([...command, file], { PRIMEKIT_ADDON: addon }))).toEqual([1.5, "function", "correct"]);
    });
  }

  test.skipIf(Bun.which("node") === null)("its program runs in Node", async () => {
    expect(await execute(["node", join("node_modules", "primekit", MANIFEST.bin.primekit), "--help"])).toContain("Usage: primekit COMMAND");
  });

  test("its types are found and sound", async () => {
    writeFileSync(
      join(project, "typed.ts"),
      'import { implicitRewards } from "primekit/kernels";\nimport type { Verifier } from "primekit";\nexport const f: typeof implicitRewards = implicitRewards;\nexport const v: Verifier["name"] = "a";\n',
    );
    const options = { strict: true, module: "nodenext", target: "es2023", noEmit: true, skipLibCheck: true, types: [] };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["typed.ts"] }));
    await execute([join(TOOLS, "tsc"), "-p", "."]);
  });
});
