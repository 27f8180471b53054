// Verifier of Python programs: their tests decide, run in a sandbox that neither the machine nor the tests can be reached from.
import { availableParallelism } from "node:os";
import { PrimekitError, rangeError } from "../errors.ts";
import { Child, ChildGone } from "./code/child.ts";
import { extractCode } from "./code/extract.ts";
import { type CodeScore, judge } from "./code/judge.ts";
import { Pool } from "./code/pool.ts";
import { ensureSnapshot, findRuntime, type SandboxRuntime } from "./code/runtime.ts";
import { type CodeTests, parseTests } from "./code/tests.ts";
import type { Item, Verdict, Verifier, VerifyOptions } from "./types.ts";

export interface CodeVerifierOptions {
  /** "all": 1 when every test passes, else 0. "fraction": the share of tests passed, for functions too; only all of them is "correct". Default "all". */
  score?: CodeScore;
  /** Seconds of processor time for a sample with all its tests; beyond them the outcome is "timeout" (settled) and the score 0. Default 10. */
  timeLimit?: number;
  /** MiB of the Python interpreter; beyond them the program gets a MemoryError. Default 512. */
  memoryLimit?: number;
  /** Child processes, each of about 250 MB. Default: one per processor. */
  processes?: number;
  /** Samples after which a child is replaced. Default 500. */
  samplesPerProcess?: number;
}

/**
 * Takes the last Python block of a response (extractCode) and runs it against the row's tests, a JSON text in `answer`:
 * - `{"inputs": […], "outputs": […], "fn_name": "f"}`: f (or Solution().f) is called. An input is a list of arguments or text of one JSON value per line;
 *   results are compared as sameValue says.
 * - `{"inputs": […], "outputs": […]}`: a program reads each input and prints the output; compared as sameOutput says. sys.exit ends it in good order.
 * - `{"tests": ["assert f(1) == 2", …], "setup"?, "prefix"?, "entry_point"?}`: snippets that raise when the solution is wrong. `setup` runs before the
 *   solution and before the tests; `prefix` goes before a solution that does not define `entry_point`; a test's `check(candidate)` is called with it.
 * No tests, or malformed ones, are the outcome "error".
 *
 * The sandbox is Pyodide in Deno children without permissions. Every sample starts from the same memory image, so nothing of an earlier one is left;
 * random numbers and hashes are the same each time. Expected values never enter the interpreter of the solution: results are compared outside, and
 * snippets run in a second interpreter (of the same process), to which the solution's functions are only messages and their results plain values.
 *
 * What Python in it is not: only the standard library; no files to write, no sockets, processes or ctypes calls; a thread runs to its end when it is
 * started. A test snippet can hand values to a solution, but no function of its own.
 *
 * Children start with the first sample and do not keep the program from ending; close() ends them. verify() rejects with ERR_ABORTED, and with
 * ERR_UNSUPPORTED where Deno or Pyodide is missing: nothing else runs the code then.
 */
export function codeVerifier(options: CodeVerifierOptions = {}): Verifier {
  const { score = "all", timeLimit = 10, memoryLimit = 512, processes = availableParallelism(), samplesPerProcess = 500 } = options;
  if (score !== "all" && score !== "fraction") throw rangeError("score", '"all" or "fraction"', score);
  checkRange("timeLimit", timeLimit, 0.1, 300);
  checkRange("memoryLimit", memoryLimit, 64, 2048);
  checkRange("processes", processes, 1, 1024);
  checkRange("samplesPerProcess", samplesPerProcess, 1, 1e6);
  let pool: Pool | undefined;
  const ready = (): Pool => {
    pool ??= openPool(Math.floor(processes), samplesPerProcess, findRuntime(memoryLimit * 2 ** 20));
    return pool;
  };
  return {
    name: "code",
    verify: (items, verifyOptions = {}) => verifyAll(items, ready, { score, timeLimit }, verifyOptions),
    close: async () => {
      const closing = pool;
      pool = undefined;
      await closing?.close();
    },
  };
}

// --- internal ---

type Settings = Required<Pick<CodeVerifierOptions, "score" | "timeLimit">>;

function openPool(size: number, samplesPerProcess: number, runtime: SandboxRuntime): Pool {
  let snapshot: Promise<void> | undefined;
  const prepared = () => {
    snapshot ??= ensureSnapshot(runtime).catch((error: unknown) => {
      snapshot = undefined; // the next child tries again
      throw error;
    });
    return snapshot;
  };
  return new Pool(size, samplesPerProcess, async () => {
    await prepared();
    return Child.start(runtime);
  });
}

/** Judges the items a few at a time, in order; an abort kills what is being run. */
async function verifyAll(items: readonly Item[], ready: () => Pool, settings: Settings, { signal, onProgress }: VerifyOptions): Promise<Verdict[]> {
  const checkAbort = () => {
    if (signal?.aborted) throw new PrimekitError("ERR_ABORTED", "The verification was aborted.", { cause: signal.reason });
  };
  checkAbort();
  if (items.length === 0) return [];
  const pool = ready();
  pool.warm();
  const verdicts: Verdict[] = [];
  const rest = items.entries();
  let done = 0;
  const work = async () => {
    for (const [i, item] of rest) {
      if (signal?.aborted) return;
      verdicts[i] = await verdictOf(item, pool, settings, signal);
      if (!signal?.aborted) onProgress?.(++done, items.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(items.length, 2 * pool.size) }, work));
  checkAbort();
  return verdicts;
}

async function verdictOf({ response, answer }: Item, pool: Pool, { score, timeLimit }: Settings, signal?: AbortSignal): Promise<Verdict> {
  let tests: CodeTests;
  try {
    tests = parseTests(answer);
  } catch (error) {
    return { score: 0, outcome: "error", extracted: undefined, reason: error instanceof Error ? error.message : String(error) };
  }
  const code = extractCode(response);
  if (code === undefined) return { score: 0, outcome: "wrong", extracted: undefined, reason: "The response has no Python program." };
  try {
    return await pool.use(async (child) => {
      const stop = () => child.kill();
      signal?.addEventListener("abort", stop, { once: true });
      try {
        if (signal?.aborted) child.kill();
        if (tests.kind === "assert") await child.ask({ kind: "tests" }); // the second interpreter, outside the sample's time
        return await child.watched(timeLimit, () => judge(child, code, tests, score));
      } finally {
        signal?.removeEventListener("abort", stop);
      }
    });
  } catch (error) {
    if (error instanceof PrimekitError) throw error; // there is no sandbox here at all
    const reason = error instanceof Error ? error.message : String(error);
    const outcome = error instanceof ChildGone ? OUTCOMES[error.why] : "error";
    return { score: 0, outcome, ...(outcome === "timeout" && { settled: true }), extracted: code, reason };
  }
}

const OUTCOMES = { timeout: "timeout", memory: "wrong", crash: "error", closed: "error" } as const;

function checkRange(name: string, value: number, low: number, high: number): void {
  if (!(value >= low && value <= high)) throw rangeError(name, `a number from ${low} to ${high}`, value);
}
