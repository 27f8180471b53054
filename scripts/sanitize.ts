// Builds the native tests, and those of the CUDA kernels through the host shim, with the address and undefined-behaviour sanitizers
// and runs them: bun run test:sanitize [name].
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const build = join(root, ".tmp", "sanitize");

run("cmake", [
  ...["-S", root, "-B", build, "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DPRIMEKIT_SANITIZE=address,undefined"],
  ...["-DPRIMEKIT_NATIVE_TESTS=ON", "-DPRIMEKIT_CUDA_SHIM_TESTS=ON", "-DPRIMEKIT_CUDA=off"],
]);
run("cmake", ["--build", build, "--parallel", "2", "--target", "native_tests", "cuda_shim_tests"]);
// OpenMP's threads and oneDNN's caches live until the process ends, which the leak detector would report.
const options = { ASAN_OPTIONS: "detect_leaks=0:abort_on_error=0:detect_stack_use_after_return=0", UBSAN_OPTIONS: "print_stacktrace=1" };
for (const program of ["native_tests", "cuda_shim_tests"]) run(join(build, program), process.argv.slice(2), options);

function run(program: string, args: string[], env: Record<string, string> = {}): void {
  const result = spawnSync(program, args, { stdio: "inherit", env: { ...process.env, ...env } });
  if (result.status !== 0) process.exit(result.status ?? 1);
}
