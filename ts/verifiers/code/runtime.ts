// Where Deno and Pyodide are, and the memory snapshot that interpreters start from: made once, kept beside the packages.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PrimekitError } from "../../errors.ts";

export interface SandboxRuntime {
  deno: string; // path of the program
  pyodide: string; // path of the package's folder, with a slash at its end
  worker: string; // path of the child's program
  cache: string; // folder of the snapshot and of Deno's own cache
  snapshot: string; // path of the snapshot
  memoryLimit: number; // bytes of one interpreter
}

/** Finds everything, or throws ERR_UNSUPPORTED with what to install: code is run in this sandbox or not at all. */
export function findRuntime(memoryLimit: number): SandboxRuntime {
  const deno = findDeno();
  const pyodide = join(packageFolder("pyodide") ?? missing("Pyodide, the Python that it runs programs with", "pyodide"), "/");
  const extension = import.meta.url.endsWith(".js") ? "js" : "ts";
  const folder = join(dirname(fileURLToPath(import.meta.url)), "sandbox");
  const parts = ["worker", "interpreter", "gate", "python", "python_values", "python_solution", "python_tests"].map((name) =>
    readFileSync(join(folder, `${name}.${extension}`)),
  );
  const hash = createHash("sha256");
  for (const part of [readFileSync(join(pyodide, "package.json")), ...parts, deno]) hash.update(part);
  const cache = cacheFolder(dirname(pyodide));
  const snapshot = join(cache, `python-${hash.digest("hex").slice(0, 16)}.snapshot`);
  return { deno, pyodide, worker: join(folder, `worker.${extension}`), cache, snapshot, memoryLimit };
}

/** Makes the snapshot if it is not there yet: about three seconds, once. */
export async function ensureSnapshot(runtime: SandboxRuntime): Promise<void> {
  if (existsSync(runtime.snapshot) && statSync(runtime.snapshot).size > 0) return;
  const [program, args, env] = sandboxCommand(runtime, "snapshot");
  const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const parts: Buffer[] = [];
  let complaint = "";
  child.stdout.on("data", (part: Buffer) => parts.push(part));
  child.stderr.on("data", (part: Buffer) => {
    complaint = (complaint + part).slice(0, 2000);
  });
  const code = await new Promise((resolve) => {
    child.on("error", resolve);
    child.on("close", resolve);
  });
  const frame = Buffer.concat(parts);
  if (code !== 0 || frame.length < 4 || frame.readUInt32LE(0) !== frame.length - 4)
    throw new PrimekitError("ERR_UNSUPPORTED", `The Python sandbox could not be prepared (${String(code)}): ${complaint.trim()}`);
  const beside = `${runtime.snapshot}.${process.pid}.tmp`;
  writeFileSync(beside, frame.subarray(4));
  renameSync(beside, runtime.snapshot);
}

/** The command line of a child: no permission but to read its own package (and the snapshot), limits set by the shell before Deno starts. */
export function sandboxCommand(runtime: SandboxRuntime, task: "serve" | "snapshot"): [program: string, args: string[], env: Record<string, string>] {
  const { deno, pyodide, worker, cache, snapshot, memoryLimit } = runtime;
  const reads = task === "serve" ? `${pyodide},${snapshot}` : pyodide;
  const flags = `--disallow-code-generation-from-strings,--max-old-space-size=512,--stack-size=${STACK_KB / 2}`;
  const deny = ["--no-prompt", "--no-config", "--no-remote", "--no-npm", "--no-lock"];
  const run = [deno, "run", ...deny, `--v8-flags=${flags}`, `--allow-read=${reads}`, worker, task, pyodide, snapshot, String(memoryLimit)];
  const env = { NO_COLOR: "1", DENO_DIR: join(cache, "deno"), DENO_NO_UPDATE_CHECK: "1" };
  if (process.platform === "win32") return [run[0], run.slice(1), env];
  const dataKb = Math.ceil(memoryLimit / 1024) * 2 + (3 << 20);
  // Core files, processor seconds, kilobytes of data and of stack; a limit the system does not know is left out: the gate and the parent have their own.
  const limits = [`-c 0`, `-t ${CPU_SECONDS}`, `-d ${dataKb}`, `-s ${STACK_KB}`].map((limit) => `ulimit ${limit} 2>/dev/null;`).join(" ");
  return ["/bin/sh", ["-c", `${limits} exec "$@"`, "sh", ...run], env];
}

/** What a child may use in its life: a last resort against one that outlives its parent. At half of it a child is replaced. */
export const CPU_SECONDS = 900;

// --- internal ---

const STACK_KB = 64_000;

function findDeno(): string {
  if (process.versions.deno) return process.execPath;
  const name = process.platform === "win32" ? "deno.exe" : "deno";
  const own = packageFolder("deno");
  const system = `${process.platform}-${process.arch}${process.platform === "linux" ? "-glibc" : ""}`;
  const candidates = own ? [join(own, name), join(dirname(own), "@deno", system, name)] : [];
  candidates.push(...(process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)));
  return candidates.find(isProgram) ?? missing("Deno, in which it locks up the programs it runs", "deno");
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // not there, or not to be run: the next candidate
  }
}

function packageFolder(name: string): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

function missing(what: string, name: string): never {
  throw new PrimekitError("ERR_UNSUPPORTED", `The code verifier needs ${what}, and it was not found. Install it with: npm install ${name}`);
}

/** node_modules/.cache/primekit, or a folder of this process's own where that cannot be written. */
function cacheFolder(modules: string): string {
  const folder = join(modules, ".cache", "primekit");
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return folder;
  } catch {
    const own = mkdtempSync(join(tmpdir(), "primekit-"));
    process.once("exit", () => rmSync(own, { recursive: true, force: true }));
    return own;
  }
}
