// The program of the sandbox's child process, run by Deno without permissions. It answers one request at a time, in order, over its standard
// streams: frames of a 32-bit length and JSON. Nothing a program does reaches these streams (gate.ts).
import { Interpreter, makeSnapshot } from "./interpreter.ts";
import type { Reply, Request } from "./protocol.ts";
import { Sink, Stop } from "./streams.ts";

declare const Deno: {
  args: string[];
  stdin: { readSync(into: Uint8Array): number | null };
  stdout: { writeSync(from: Uint8Array): number };
  readFileSync(path: string): Uint8Array;
};

const STEP_LIMIT = 4 << 20; // bytes of an ordinary reply
const CALL_LIMIT = 32 << 20; // of a value for the tests
const WORN_SIZE = 192 << 20; // clearing more than this between programs costs more than a new process

const [task, pyodide, snapshotFile, memoryLimit] = Deno.args;
const options = { pyodide, memoryLimit: Number(memoryLimit) };
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const parse = (bytes: Uint8Array) => JSON.parse(decoder.decode(bytes));
const encode = (value: unknown) => encoder.encode(JSON.stringify(value));

if (task === "snapshot") {
  writeFrame(await makeSnapshot(options));
} else {
  const snapshot = Deno.readFileSync(snapshotFile);
  const solution = await Interpreter.load(snapshot.slice(), options);
  let tests: Interpreter | undefined;
  writeFrame(encode({ ready: true }));
  for (let frame = readFrame(); frame; frame = readFrame()) {
    const request = JSON.parse(decoder.decode(frame)) as Request;
    if (request.kind === "tests" || request.kind === "assert") tests ??= await Interpreter.load(snapshot.slice(), options);
    writeFrame(encode(request.kind === "tests" ? { worn: false } : answer(request, solution, tests)));
  }
}

// --- internal ---

type Work = Exclude<Request, { kind: "tests" }>;

function answer(request: Work, solution: Interpreter, tests: Interpreter | undefined): Reply {
  let clean = true;
  let result: Omit<Reply, "worn">;
  try {
    if (request.kind === "assert") result = runTests(request, solution, tests as Interpreter);
    else result = runSolution(request, solution);
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    clean = error.clean;
    result = { stopped: error.message, output: request.kind === "main" ? decoder.decode(solution.output()) : undefined };
  }
  return { ...result, worn: !clean || Math.max(solution.size, tests?.size ?? 0) > WORN_SIZE };
}

function runSolution(request: Exclude<Work, { kind: "assert" }>, solution: Interpreter): Omit<Reply, "worn"> {
  if (request.kind === "main") {
    solution.reset({ stdin: encoder.encode(request.stdin), stdout: new Sink(request.limit, "The program wrote far more than the expected output.") });
    const reply = solution.step(encode({ op: "main", code: request.code }), STEP_LIMIT);
    return { reply: decoder.decode(reply), output: decoder.decode(solution.output()) };
  }
  if (request.kind === "load") solution.reset();
  return { reply: decoder.decode(solution.step(encode({ ...request, op: request.kind }), request.kind === "call" ? request.limit : STEP_LIMIT)) };
}

/** Tests in one interpreter, the solution in another: every call of the tests goes over as text, and what comes back are plain values. */
function runTests(request: Extract<Work, { kind: "assert" }>, solution: Interpreter, tests: Interpreter): Omit<Reply, "worn"> {
  const { code, tests: texts, setup, prefix, entry, first } = request;
  let broken: Stop | undefined; // the solution's end, told to the tests and then to the parent
  const call = (bytes: Uint8Array): Uint8Array => {
    try {
      return solution.step(bytes, CALL_LIMIT);
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
      broken = error;
      return encode({ stopped: error.message });
    }
  };
  solution.reset();
  tests.reset({ call });
  const before = parse(tests.step(encode({ op: "prepare", tests: texts, setup, prefix, entry }), STEP_LIMIT));
  if (before.error) return { reply: JSON.stringify({ error: before.error }) };
  const loaded = suspect(solution.step(encode({ op: "load", code, setup, prefix, entry, wanted: before.wanted }), STEP_LIMIT));
  if (loaded.error !== undefined) return { reply: JSON.stringify({ results: [String(loaded.error)] }) };
  // The solution must not get a name that the tests did not ask for: it would take the place of a builtin of theirs.
  const names = Array.isArray(loaded.names) ? before.wanted.filter((name: string) => (loaded.names as unknown[]).includes(name)) : [];
  const reply = tests.step(encode({ op: "tests", tests: texts, entry, first, names }), STEP_LIMIT);
  if (broken && !broken.clean) throw broken;
  return { reply: decoder.decode(reply) };
}

/** A reply from the interpreter of the solution, which may have written it itself. */
function suspect(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value = parse(bytes);
    if (typeof value === "object" && value !== null) return value;
  } catch {} // no JSON: no result, as said below
  return { error: "The program gave no result." };
}

function readFrame(): Uint8Array | undefined {
  const header = readExactly(4);
  return header && readExactly(new DataView(header.buffer).getUint32(0, true));
}

/** undefined at the end of the stream: the parent has gone. */
function readExactly(size: number): Uint8Array | undefined {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const count = Deno.stdin.readSync(bytes.subarray(at));
    if (count === null) return undefined;
    at += count;
  }
  return bytes;
}

function writeFrame(bytes: Uint8Array): void {
  const frame = new Uint8Array(4 + bytes.length);
  new DataView(frame.buffer).setUint32(0, bytes.length, true);
  frame.set(bytes, 4);
  for (let at = 0; at < frame.length; ) at += Deno.stdout.writeSync(frame.subarray(at));
}
