// Builds libprimekit.so, the kernels for other programs (native/include/primekit.h), beside the addon where that was built here, so that only
// a few files are compiled; on its own otherwise: bun run build:c. Prints where it is.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { CMAKE_OPTIONS } from "../ts/native/setup/build_key.ts";

const root = resolve(import.meta.dirname, "..");

/** Builds what changed and returns the library's path. Throws with the tools' output when that fails. */
export function buildCLibrary(): string {
  const beside = existsSync(join(root, "build", "CMakeCache.txt"));
  const build = beside ? join(root, "build") : join(root, ".tmp", "capi");
  const options = CMAKE_OPTIONS.filter((name) => process.env[name]).map((name) => `-D${name}=${process.env[name]}`);
  if (!beside) call("cmake", ["-S", root, "-B", build, ...options]);
  call("cmake", ["--build", build, "--parallel", "2", "--target", "primekit"]);
  return join(build, "lib", "libprimekit.so");
}

// --- internal ---

function call(program: string, args: string[]): void {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} failed: ${error?.message ?? `${stdout}\n${stderr}`}`);
}

if (import.meta.main) process.stdout.write(`${buildCLibrary()}\n`);
