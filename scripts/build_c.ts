// Builds libprimekit.so, the kernels for other programs (native/include/primekit.h), beside the addon where that was built here, so that only
// a few files are compiled; on its own otherwise: bun run build:c. Prints where it is.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { CMAKE_OPTIONS } from "../ts/native/setup/build_key.ts";

const root = resolve(import.meta.dirname, "..");

/** Builds what changed and returns the library's path. Throws with the tools' output when that fails. */
export function buildCLibrary(): string {
  return join(buildTarget("primekit"), "lib", "libprimekit.so");
}

/** Builds one of CMakeLists.txt's targets and returns the folder of the build. gpu false: in a build without a CUDA backend. */
export function buildTarget(target: string, { gpu = true } = {}): string {
  const cache = join(root, "build", "CMakeCache.txt");
  const beside = existsSync(cache) && (gpu || !/^CMAKE_CUDA_COMPILER:.*=\//m.test(readFileSync(cache, "utf8")));
  const build = beside ? join(root, "build") : join(root, ".tmp", gpu ? "capi" : "no_gpu");
  const headers = ["node-api-headers/include", "node-addon-api"].map((name) => join(root, "node_modules", name));
  const options = CMAKE_OPTIONS.filter((name) => process.env[name]).map((name) => `-D${name}=${process.env[name]}`);
  if (!beside) call("cmake", ["-S", root, "-B", build, ...options, ...(gpu ? [] : ["-DPRIMEKIT_CUDA=off", `-DCMAKE_JS_INC=${headers.join(";")}`])]);
  call("cmake", ["--build", build, "--parallel", "2", "--target", target]);
  return build;
}

// --- internal ---

function call(program: string, args: string[]): void {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} failed: ${error?.message ?? `${stdout}\n${stderr}`}`);
}

if (import.meta.main) process.stdout.write(`${buildCLibrary()}\n`);
