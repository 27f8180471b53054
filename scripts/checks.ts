// What there is to check, beside the tests of test/: each a function that says how it went.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { findProgram } from "../ts/native/setup/build_key.ts";
import { readKernelUse } from "./spills.ts";

export const ROOT = resolve(import.meta.dirname, "..");

export interface Outcome {
  passed: number;
  failed: number;
  skipped: number;
  /** Shown when something failed or was skipped. */
  text: string;
}

export interface Check {
  name: string;
  run(): Promise<Outcome>;
}

/** Quick ones that need no build: format, lint, types. */
export function staticChecks(): Check[] {
  const sources = ["core", "ops", "cpu", "cuda", "model", "binding", "capi", "include"]
    .map((folder) => join("native", folder))
    .concat(
      join("test", "native"),
      join("test", "native", "cuda"),
      join("test", "native", "cuda_addon"),
      join("test", "native", "cuda_shim"),
      join("test", "native", "cuda_shim", "cuda"),
      join("test", "native", "bench"),
    );
  const native = sources.flatMap((folder) => list(folder, /\.(h|cpp|cu|cuh)$/));
  return [
    command("format and lint of TypeScript and JSON (biome)", tool("biome"), ["ci", "--colors=off", "."]),
    command("format of C++ (clang-format)", tool("clang-format"), ["--dry-run", "-Werror", ...native]),
    command("types (tsc)", tool("tsc"), ["-p", "."]),
  ];
}

/** The main job in small, from the command line to the end table. */
export function trainingCheck(): Check {
  const small = [
    ...["--model.hiddenSize", "64", "--model.intermediateSize", "128", "--model.numHiddenLayers", "2", "--sft.steps", "40", "--sft.evalProblems", "32"],
    ...[
      "--steps",
      "4",
      "--promptsPerStep",
      "8",
      "--filterLow",
      "0",
      "--filterHigh",
      "1",
      "--task.minSteps",
      "1",
      "--task.maxSteps",
      "2",
      "--evalProblems",
      "32",
    ],
  ];
  return {
    name: "a short training run (bun run train.ts)",
    run: async () => {
      const runs = mkdtempSync(join(tmpdir(), "primekit-short-"));
      try {
        const { code, output } = await execute(process.execPath, ["run", "train.ts", "--runs", runs, "--run", "short", ...small], 5);
        const complete = output.includes("held-out accuracy (greedy)") && existsSync(join(runs, "short", "checkpoints", "step-000004", "manifest.json"));
        return code === 0 && complete ? ok() : failure(output);
      } finally {
        rmSync(runs, { recursive: true, force: true });
      }
    },
  };
}

/** Kernels that time is not spent in: sampling, and the gradient of RMSNorm in float32. They keep some registers around calls. */
const MAY_SPILL = /sample_kernel|rmsnorm_backward_kernelILi\dEf/;

/** nvcc compiles all kernels for every architecture, and none of the hot ones spills registers. */
export function cudaCheck(): Check {
  return {
    name: "the CUDA backend compiles, without spills",
    run: async () => {
      if (!findProgram(process.env.CUDACXX || "nvcc")) return skip("nvcc is not installed");
      const build = join(ROOT, ".tmp", "cuda");
      const configured = await execute("cmake", ["-S", ROOT, "-B", build, "-DPRIMEKIT_CUDA=on", "-DCMAKE_BUILD_TYPE=Release"], 5);
      if (configured.code !== 0) return failure(configured.output);
      const { code, output } = await execute("cmake", ["--build", build, "--parallel", "2", "--target", "primekit_cuda"], 20);
      if (code !== 0) return failure(output);
      const kernels = readKernelUse(build);
      const spilled = kernels
        .filter((use) => use.spilledBytes > 0 && !MAY_SPILL.test(use.kernel))
        .map((use) => `${use.kernel} spills ${use.spilledBytes} bytes on ${use.target}`);
      if (kernels.length === 0) return failure(`ptxas said nothing of any kernel in ${build}`);
      return spilled.length === 0 ? ok() : failure(spilled.join("\n"));
    },
  };
}

export function sanitizerCheck(): Check {
  return command(
    "native tests, those of the CUDA kernels on the CPU among them, under the address and undefined-behaviour sanitizers",
    process.execPath,
    ["run", "scripts/sanitize.ts"],
    { minutes: 10 },
  );
}

/** All of test/ by bun; the counts come from its JUnit report. In a temporary folder and a cache of their own, where nothing may be left behind. */
export function bunTests(args: string[] = ["./test"]): Check {
  const report = join(ROOT, ".tmp", "junit.xml");
  return {
    name: `tests (bun test ${args.join(" ")})`,
    run: async () => {
      rmSync(report, { force: true });
      const folder = mkdtempSync(join(tmpdir(), "primekit-tests-"));
      try {
        const env = { TMPDIR: folder, PRIMEKIT_CACHE: join(folder, "cache") };
        const options = ["--timeout", "60000", "--reporter=junit", `--reporter-outfile=${report}`];
        const { code, output } = await execute(process.execPath, ["test", ...options, ...args], 40, env);
        const outcome = await readJunit(report, code, output);
        const left = readdirSync(folder).filter((name) => name.startsWith("primekit-"));
        if (outcome.failed > 0 || left.length === 0) return outcome; // a test that failed may not have come to its end
        return { ...outcome, failed: 1, text: `${outcome.text}\nThe tests left folders in the temporary folder: ${left.join(", ")}` };
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

// --- internal ---

function ok(): Outcome {
  return { passed: 1, failed: 0, skipped: 0, text: "" };
}

function failure(text: string): Outcome {
  return { passed: 0, failed: 1, skipped: 0, text };
}

function skip(text: string): Outcome {
  return { passed: 0, failed: 0, skipped: 1, text };
}

function tool(name: string): string {
  return join(ROOT, "node_modules", ".bin", name);
}

/** Files directly in a folder, as paths from the root; none when there is no such folder. */
function list(folder: string, pattern: RegExp): string[] {
  const path = join(ROOT, folder);
  return existsSync(path)
    ? readdirSync(path)
        .filter((name) => pattern.test(name))
        .sort()
        .map((name) => join(folder, name))
    : [];
}

function command(name: string, program: string, args: string[], { minutes = 5 } = {}): Check {
  return {
    name,
    run: async () => {
      const { code, output } = await execute(program, args, minutes);
      return code === 0 ? ok() : failure(output);
    },
  };
}

async function execute(program: string, args: string[], minutes: number, env: Record<string, string> = {}): Promise<{ code: number | null; output: string }> {
  const child = spawn(program, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1", ...env } });
  let output = "";
  child.stdout.on("data", (piece) => {
    output += piece;
  });
  child.stderr.on("data", (piece) => {
    output += piece;
  });
  const timer = setTimeout(() => {
    output += `\nkilled after ${minutes} minutes\n`;
    child.kill("SIGKILL");
  }, minutes * 60_000);
  const code = await new Promise<number | null>((done) => {
    child.once("error", (error) => {
      output += error.message;
      done(null);
    });
    child.once("close", done);
  });
  clearTimeout(timer);
  return { code, output };
}

async function readJunit(report: string, code: number | null, output: string): Promise<Outcome> {
  const text = existsSync(report) ? await Bun.file(report).text() : "";
  const root = /<testsuites[^>]*>/.exec(text)?.[0] ?? "";
  const count = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(root)?.[1] ?? 0);
  const [tests, failed, skipped] = [count("tests"), count("failures"), count("skipped")];
  // An error outside of any test, or a crash, shows in the exit code alone.
  const unseen = (code !== 0 && failed === 0) || tests === 0 ? 1 : 0;
  const lines = output.split("\n").filter((line) => !line.startsWith("(pass)"));
  return { passed: tests - failed - skipped, failed: failed + unseen, skipped, text: lines.join("\n") };
}
