// Verifier of mathematical answers: is the answer in a response the reference answer, however either is written?
import { PrimekitError, rangeError } from "../errors.ts";
import { CasPool } from "./math/cas_pool.ts";
import type { Extraction } from "./math/extract.ts";
import { type JudgeOptions, judge } from "./math/judge.ts";
import type { Item, Verdict, Verifier, VerifyOptions } from "./types.ts";

export interface MathVerifierOptions {
  /** What counts as an answer: "boxed" only \boxed{} or \fbox{} (default), "lenient" also "the answer is", "####", "Answer:" and at last the last formula. */
  extract?: Extraction;
  /** Largest relative difference between a decimal and an irrational number it stands for (0.7071068 for sqrt(2)/2). Default 1e-6. */
  tolerance?: number;
  /** The same between two rationals of which one is written as a decimal (0.33 for 1/3, measured quantities). Default 0: they must be equal. */
  decimalTolerance?: number;
  /** Wall clock of the symbolic step for one answer, in milliseconds. Default 3000. */
  timeoutMs?: number;
  /** Child processes for the symbolic step. Default 2. */
  processes?: number;
  /** Memory of one child in MB. Default 1024. */
  memoryMb?: number;
}

/**
 * Takes the answer from the response (the last `\boxed{}`, or as `extract` says) and compares it with the reference, cheapest step first:
 * text, exact value (rationals of any size), numeric, structure (lists, sets, tuples, intervals, matrices, relations, units, bases), and for
 * formulas: a difference at seeded points, symbolic simplification, and agreement at seeded points as the last. The verdict's reason
 * names the step that decided. Several answers may come in any order; tuples and intervals are ordered; brackets count.
 *
 * Percent: p % is p/100; besides, a sign on one side only may be a unit left out (28 for 28 %, but never 0.5 for 0.5 %; units.ts).
 * Nothing else is scaled by 100, and no text is ever evaluated as code.
 *
 * All but the symbolic step runs in this process, bounded in length, depth and steps. The symbolic step runs in child processes, which
 * are killed at `timeoutMs` or `memoryMb`. "timeout" is that; "error" says that no judgement was possible and why (too large, too
 * deep, undefined, an empty reference). An idle pool does not keep the process alive; close() ends it at once.
 */
export function mathVerifier(options: MathVerifierOptions = {}): Verifier {
  const { extract = "boxed", tolerance = 1e-6, decimalTolerance = 0, timeoutMs = 3000, processes = 2, memoryMb = 1024 } = options;
  if (extract !== "boxed" && extract !== "lenient") throw rangeError("extract", '"boxed" or "lenient"', extract);
  for (const [name, value] of Object.entries({ tolerance, decimalTolerance }))
    if (!(value >= 0 && value < 1)) throw rangeError(name, "at least 0 and below 1", value);
  for (const [name, value] of Object.entries({ timeoutMs, processes, memoryMb }))
    if (!(Number.isInteger(value) && value > 0)) throw rangeError(name, "a positive integer", value);
  const pool = new CasPool({ processes, timeoutMs, memoryMb });
  const judging: JudgeOptions = { extract, tolerance, decimalTolerance };
  return {
    name: "math",
    verify: (items, verifyOptions = {}) => verifyAll(items, verifyOptions, (item, signal) => verifyOne(item, judging, pool, timeoutMs, signal)),
    close: async () => pool.close(),
  };
}

// --- internal ---

/** Longest that the event loop waits for cheap judgements, in milliseconds. */
const SLICE_MS = 10;
/** Most questions to the symbolic step for one answer (a list has several). */
const MAX_QUESTIONS = 24;

type VerifyOne = (item: Item, signal?: AbortSignal) => Verdict | Promise<Verdict>;

async function verifyAll(items: readonly Item[], { signal, onProgress }: VerifyOptions, verifyOne: VerifyOne): Promise<Verdict[]> {
  const verdicts = new Array<Verdict>(items.length);
  const pending: Promise<void>[] = [];
  let done = 0;
  const finish = (i: number, verdict: Verdict) => {
    verdicts[i] = verdict;
    onProgress?.(++done, items.length);
  };
  let slice = performance.now();
  for (let i = 0; i < items.length; i++) {
    throwIfAborted(signal);
    const verdict = verifyOne(items[i], signal);
    if (verdict instanceof Promise) pending.push(verdict.then((v) => finish(i, v)));
    else finish(i, verdict);
    if (performance.now() - slice > SLICE_MS) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      slice = performance.now();
    }
  }
  await Promise.all(pending);
  throwIfAborted(signal);
  return verdicts;
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new PrimekitError("ERR_ABORTED", "The verification was aborted.", { cause: signal.reason });
}

/** At once where this process can tell; a promise where the symbolic step is needed. */
function verifyOne(item: Item, options: JudgeOptions, pool: CasPool, timeoutMs: number, signal?: AbortSignal): Verdict | Promise<Verdict> {
  const answers = new Map<string, boolean | undefined>();
  const judgement = judge(item.response, item.answer, options, answers);
  if (judgement.verdict) return judgement.verdict;
  return askUntilJudged(item, options, pool, timeoutMs, signal);
}

async function askUntilJudged(item: Item, options: JudgeOptions, pool: CasPool, timeoutMs: number, signal?: AbortSignal): Promise<Verdict> {
  const answers = new Map<string, boolean | undefined>();
  let left = timeoutMs;
  for (let i = 0; i < MAX_QUESTIONS; i++) {
    const { verdict, question, extracted } = judge(item.response, item.answer, options, answers);
    if (verdict) return verdict;
    const start = performance.now();
    const answer = await pool.ask(question.left, question.right, left, signal);
    if ("timeout" in answer) return unjudged("timeout", extracted, `The symbolic step took longer than ${timeoutMs} ms.`);
    if ("failure" in answer) return unjudged("error", extracted, `It cannot be judged: ${answer.failure}.`);
    left = Math.max(1, left - Math.round(performance.now() - start));
    answers.set(question.key, answer.equal);
  }
  return unjudged("error", undefined, "It cannot be judged: it needs too many symbolic comparisons.");
}

const unjudged = (outcome: "timeout" | "error", extracted: string | undefined, reason: string): Verdict => ({ score: 0, outcome, extracted, reason });
