// Builds the addon when it is missing or no longer fits the sources, the options, the tools or this CPU:
// by cmake-js, or by node-gyp (binding.gyp) where there is no CMake or PRIMEKIT_BUILD=gyp asks for it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PrimekitError } from "../../errors.ts";
import { type BuildKey, buildKey, CMAKE_OPTIONS, findProgram } from "./build_key.ts";
import { lastLines } from "./packages.ts";
import { ensureSystemPackages } from "./system.ts";

const KEY_FILE = join("build", "primekit.json");

export function addonFile(root: string): string {
  return join(root, "build", "Release", "addon.node");
}

export function addonIsCurrent(root: string): boolean {
  return existsSync(addonFile(root)) && sameKey(readKey(root), buildKey(root));
}

/** Builds the addon of a source tree. Throws ERR_ADDON_BUILD with the compiler's last words and the file that has all of them. */
export function buildAddon(root: string, say: (line: string) => void): void {
  ensureSystemPackages(say);
  const before = readKey(root);
  const key = buildKey(root);
  const byGyp = process.env.PRIMEKIT_BUILD === "gyp" || !findProgram("cmake");
  const incremental = !byGyp && existsSync(join(root, "build", "CMakeCache.txt")) && before !== undefined && sameKey({ ...before, sources: key.sources }, key);
  // Ninja knows nothing of a new CPU or compiler behind the same name, and cmake-js ignores new options once configured.
  if (!incremental) rmSync(join(root, "build"), { recursive: true, force: true });
  rmSync(join(root, KEY_FILE), { force: true });
  say(incremental ? "building what changed in the native addon" : "building the native addon (a minute or two)");
  const start = performance.now();
  const log = join(root, ".tmp", "build.log");
  const [program, ...args] = byGyp ? nodeGyp() : cmakeJs(root);
  const result = spawnSync(program, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28, env: buildEnvironment() });
  const output = `${result.stdout ?? ""}\n${result.stderr ?? ""}`;
  mkdirSync(join(root, ".tmp"), { recursive: true });
  writeFileSync(log, output);
  if (result.status !== 0 || !existsSync(addonFile(root))) {
    throw new PrimekitError(
      "ERR_ADDON_BUILD",
      `The native addon could not be built (${result.error?.message ?? firstError(output)}). The whole output is in ${log}`,
    );
  }
  writeFileSync(join(root, KEY_FILE), `${JSON.stringify(key)}\n`);
  const about = output.match(/primekit: .*/g)?.map((line) => line.slice("primekit: ".length)) ?? [];
  say(`built in ${((performance.now() - start) / 1000).toFixed(0)} s${about.length > 0 ? ` (${about.join("; ")})` : ""}`);
}

// --- internal ---

function readKey(root: string): BuildKey | undefined {
  try {
    return JSON.parse(readFileSync(join(root, KEY_FILE), "utf8"));
  } catch {
    return undefined; // built by hand, or not to the end
  }
}

function sameKey(a: BuildKey | undefined, b: BuildKey): boolean {
  return a !== undefined && a.sources === b.sources && a.options === b.options && a.toolchain === b.toolchain && a.machine === b.machine;
}

function cmakeJs(root: string): string[] {
  const options = CMAKE_OPTIONS.filter((name) => process.env[name]).map((name) => `--CD${name}=${process.env[name]}`);
  const program = process.versions.deno ? ["run", "-A", "npm:cmake-js"] : [join(packageFolder(root, "cmake-js"), "bin", "cmake-js")];
  return [process.execPath, ...program, "build", ...options];
}

/** Where a package of this one lies: inside it, or beside it where it is itself installed as a package. */
function packageFolder(root: string, name: string): string {
  const inside = join(root, "node_modules", name);
  return existsSync(inside) ? inside : join(root, "..", name);
}

/** The newest major version that runs on Node 20. It needs make, Python 3 and Node's headers (downloaded, or npm_config_nodedir). */
function nodeGyp(): string[] {
  return [findProgram("npx") ? "npx" : "bunx", "--yes", "node-gyp@12.4.0", "rebuild"];
}

/** Bun must not run the set-up again for the child. */
function buildEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, PRIMEKIT_SETUP: "off" };
}

function firstError(output: string): string {
  const line = output.split("\n").find((text) => /\berror\b/i.test(text));
  return line?.trim() ?? lastLines(output, 3);
}
