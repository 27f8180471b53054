// The ground truth of a code row: JSON text to tests, checked, with nothing lost on the way (JSON.parse would round integers and forget 1.0).
import type { Wire } from "./sandbox/protocol.ts";

export type CodeTests =
  /** A function is called. */
  | { kind: "call"; entry: string; cases: { args: Wire[]; expected: Wire }[] }
  /** A program reads its input and writes its output. */
  | { kind: "program"; cases: { stdin: string; expected: string }[] }
  /** Python snippets that raise when the solution is wrong. */
  | { kind: "assert"; tests: string[]; setup?: string; prefix?: string; entry?: string };

/** Reads a ground truth (its forms: codeVerifier). Throws an Error whose message says what is wrong with it; no tests at all is wrong, too. */
export function parseTests(answer: string): CodeTests {
  const truth = parseLossless(answer);
  if (truth === null || typeof truth !== "object" || Array.isArray(truth) || NUMBER in truth) throw new Error("The tests are not a JSON object.");
  const tests = "tests" in truth ? assertTests(truth) : ioTests(truth);
  const count = tests.kind === "assert" ? tests.tests.length : tests.cases.length;
  if (count === 0) throw new Error("There are no tests, so nothing can be judged.");
  return tests;
}

// --- internal ---

type Json = null | boolean | string | number | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

const NUMBER = "\0number"; // the key of a wrapped number: no other text of the data can hold a raw NUL here, JSON forbids it

function assertTests(truth: JsonObject): CodeTests {
  const { tests } = truth;
  if (!Array.isArray(tests) || !tests.every((test) => typeof test === "string")) throw new Error('"tests" is not a list of texts.');
  return { kind: "assert", tests, setup: textOf(truth, "setup"), prefix: textOf(truth, "prefix"), entry: nameOf(truth, "entry_point") };
}

function ioTests(truth: JsonObject): CodeTests {
  const { inputs, outputs } = truth;
  if (!Array.isArray(inputs) || !Array.isArray(outputs)) throw new Error('The tests have neither "tests" nor lists "inputs" and "outputs".');
  if (inputs.length !== outputs.length) throw new Error(`There are ${inputs.length} inputs but ${outputs.length} outputs.`);
  const entry = nameOf(truth, "fn_name");
  if (entry === undefined)
    return { kind: "program", cases: inputs.map((input, i) => ({ stdin: linesOf(input, "input"), expected: linesOf(outputs[i], "output") })) };
  return { kind: "call", entry, cases: inputs.map((input, i) => callCase(input, outputs[i])) };
}

/** Arguments are a list, or a text with one JSON value per line; then the result is JSON text as well. */
function callCase(input: Json, output: Json): { args: Wire[]; expected: Wire } {
  if (typeof input !== "string" && !Array.isArray(input)) throw new Error("An input of a function is neither a list nor text.");
  const args =
    typeof input === "string"
      ? input
          .split("\n")
          .filter((line) => line.trim() !== "")
          .map(parseLossless)
      : input;
  const expected = typeof input === "string" && typeof output === "string" ? parseLossless(output) : output;
  return { args: args.map((arg) => toWire(arg, true)), expected: toWire(expected, false) };
}

function linesOf(value: Json, what: string): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((line) => typeof line === "string")) return value.join("\n");
  throw new Error(`An ${what} of a program is not text.`);
}

function textOf(truth: JsonObject, key: string): string | undefined {
  const value = truth[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new Error(`"${key}" is not text.`);
  return value;
}

function nameOf(truth: JsonObject, key: string): string | undefined {
  const name = textOf(truth, key);
  if (name !== undefined && !/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name)) throw new Error(`"${key}" is not a name.`);
  return name;
}

/** JSON.parse with every number wrapped as its text; Python's NaN and Infinity are read, too. */
function parseLossless(text: string): Json {
  const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|NaN|-?Infinity/g;
  try {
    return JSON.parse(text.replace(token, (found) => (found[0] === '"' ? found : `{"\\u0000number":"${found}"}`)));
  } catch (error) {
    throw new Error("The tests are not valid JSON.", { cause: error });
  }
}

/** `intKeys`: JSON has no integer keys, so an argument whose keys are all integers had them as integers. */
function toWire(value: Json, intKeys: boolean): Wire {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return ["l", ...value.map((item) => toWire(item, false))];
  const number = value[NUMBER];
  if (typeof number === "string") return numberToWire(number);
  const keys = Object.keys(value);
  const integers = intKeys && keys.length > 0 && keys.every((key) => /^-?\d{1,15}$/.test(key));
  return ["d", ...keys.map((key) => [integers ? Number(key) : key, toWire(value[key], false)])];
}

function numberToWire(text: string): Wire {
  if (!/^-?\d+$/.test(text)) return ["f", text.replace("Infinity", "inf")];
  const number = Number(text);
  if (Number.isSafeInteger(number)) return number;
  const big = BigInt(text);
  return ["i", big < 0n ? `-0x${(-big).toString(16)}` : `0x${big.toString(16)}`];
}
