// One solution against its tests, in a child of the sandbox.
import type { Verdict } from "../types.ts";
import type { Child } from "./child.ts";
import { sameOutput, sameValue } from "./compare.ts";
import type { Reply } from "./sandbox/protocol.ts";
import type { CodeTests } from "./tests.ts";

export type CodeScore = "all" | "fraction";

/** Runs the tests and gives the verdict. Rejects with ChildGone when the child ends or is killed meanwhile. */
export async function judge(child: Child, code: string, tests: CodeTests, score: CodeScore): Promise<Verdict> {
  const total = tests.kind === "assert" ? tests.tests.length : tests.cases.length;
  const failures = await FAILURES[tests.kind](child, code, tests as never, score === "all");
  const { count, first, error } = failures;
  if (error !== undefined) return { score: 0, outcome: "error", extracted: code, reason: `The tests cannot be run: ${sentence(error)}` };
  if (count === 0) return { score: 1, outcome: "correct", extracted: code, reason: total === 1 ? "The test passed." : `All ${total} tests passed.` };
  const failure = first === undefined ? "A test failed." : sentence(first.test === undefined ? first.text : `Test ${first.test + 1}: ${first.text}`);
  if (score === "all") return { score: 0, outcome: "wrong", extracted: code, reason: failure };
  return { score: (total - count) / total, outcome: "wrong", extracted: code, reason: `${total - count} of ${total} tests passed. ${failure}` };
}

// --- internal ---

interface Failures {
  count: number; // where testing stopped early, what was not run counts
  first?: { test?: number; text: string };
  error?: string; // the tests themselves are broken
}

type Kind<K extends CodeTests["kind"]> = Extract<CodeTests, { kind: K }>;

const FAILURES: { [K in CodeTests["kind"]]: (child: Child, code: string, tests: Kind<K>, firstOnly: boolean) => Promise<Failures> } = {
  call: callFailures,
  program: programFailures,
  assert: assertFailures,
};

async function callFailures(child: Child, code: string, { entry, cases }: Kind<"call">, firstOnly: boolean): Promise<Failures> {
  const loaded = await child.ask({ kind: "load", code });
  const broken = failureOf(loaded);
  if (broken !== undefined) return { count: cases.length, first: { text: broken } };
  const failures: Failures = { count: 0 };
  for (const [test, { args, expected }] of cases.entries()) {
    const reply = await child.ask({ kind: "call", entry, args, limit: roomFor(JSON.stringify(expected)) });
    const failure = failureOf(reply) ?? (sameValue(read(reply).value, expected) ? undefined : "the result is not the expected one");
    if (failure === undefined) continue;
    failures.first ??= { test, text: failure };
    failures.count++;
    if (firstOnly) break;
    if (reply.stopped !== undefined) return { ...failures, count: failures.count + cases.length - test - 1 }; // the program is no more
  }
  return failures;
}

async function programFailures(child: Child, code: string, { cases }: Kind<"program">, firstOnly: boolean): Promise<Failures> {
  const failures: Failures = { count: 0 };
  for (const [test, { stdin, expected }] of cases.entries()) {
    const reply = await child.ask({ kind: "main", code, stdin, limit: roomFor(expected) });
    const failure = programFailure(reply) ?? (sameOutput(reply.output ?? "", expected) ? undefined : "the output is not the expected one");
    if (failure === undefined) continue;
    failures.first ??= { test, text: failure };
    failures.count++;
    if (firstOnly || child.worn) return { ...failures, count: failures.count + (cases.length - test - 1) };
  }
  return failures;
}

async function assertFailures(child: Child, code: string, tests: Kind<"assert">, firstOnly: boolean): Promise<Failures> {
  const reply = await child.ask({ ...tests, code, first: firstOnly });
  if (reply.stopped !== undefined) return { count: tests.tests.length, first: { text: reply.stopped } };
  const { error, results, stopped } = read(reply);
  if (typeof error === "string") return { count: 0, error };
  const list = Array.isArray(results) ? results : [];
  const first = list.findIndex((failure) => failure !== null);
  const count = tests.tests.length - list.filter((failure) => failure === null).length;
  if (first >= 0) return { count, first: { test: first, text: String(list[first]) } };
  return { count, first: typeof stopped === "string" ? { text: stopped } : undefined };
}

/** A program may end itself: what it wrote until then counts. */
function programFailure(reply: Reply): string | undefined {
  if (reply.stopped?.startsWith("The program ended itself")) return undefined;
  const failure = failureOf(reply);
  return failure?.startsWith("SystemExit") ? undefined : failure;
}

function failureOf(reply: Reply): string | undefined {
  if (reply.stopped !== undefined) return reply.stopped;
  const { error } = read(reply);
  return error === undefined ? undefined : String(error);
}

/** The interpreter's own words, which the solution may have put into its mouth. */
function read(reply: Reply): Record<string, unknown> {
  try {
    const value = JSON.parse(reply.reply ?? "");
    return typeof value === "object" && value !== null ? value : { error: "The program gave no result." };
  } catch {
    return { error: "The program gave no result." };
  }
}

const roomFor = (expected: string) => (1 << 20) + 4 * expected.length;

const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`);
