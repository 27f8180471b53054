// When a result counts as the expected one. All comparisons happen here, far from the program that gave the result.
import type { Wire } from "./sandbox/protocol.ts";

const TOLERANCE = 1e-6; // of floating-point numbers: absolute below 1, relative above

/**
 * Whether a function's result equals the expected JSON value. A tuple counts as a list; 2, 2.0 and (as in Python) True for 1 are the same number; where
 * either side is a float, a difference of 1e-6 (relative above 1) is allowed, integers must match exactly; text exactly; a dict's keys by their JSON
 * text. An expected list of one element is also matched by that element alone: datasets wrap results so. Sets and objects equal nothing.
 */
export function sameValue(actual: unknown, expected: Wire): boolean {
  if (equal(actual, expected)) return true;
  return Array.isArray(expected) && expected[0] === "l" && expected.length === 2 && equal(actual, expected[1] as Wire);
}

/**
 * Whether a program's output is the expected one: line by line without trailing white space, blank lines at the end ignored; two lines match when they
 * are equal, or when their words match one by one, where a word that is a decimal fraction on either side matches within 1e-6 (relative above 1).
 */
export function sameOutput(actual: string, expected: string): boolean {
  const [lines, wanted] = [linesOf(actual), linesOf(expected)];
  return lines.length === wanted.length && lines.every((line, i) => line === wanted[i] || sameWords(line, wanted[i]));
}

// --- internal ---

function equal(actual: unknown, expected: unknown): boolean {
  const [a, b] = [numberOf(actual), numberOf(expected)];
  if (a !== undefined || b !== undefined) return a !== undefined && b !== undefined && sameNumber(a, b);
  if (!Array.isArray(actual) || !Array.isArray(expected)) return actual === expected;
  const kind = actual[0] === "t" ? "l" : actual[0];
  if (kind !== expected[0] || actual.length !== expected.length) return false;
  if (kind === "l") return actual.every((item, i) => i === 0 || equal(item, expected[i]));
  return kind === "d" && sameDict(actual.slice(1), expected.slice(1));
}

function sameDict(actual: readonly unknown[], expected: readonly unknown[]): boolean {
  const values = new Map(actual.filter(Array.isArray).map(([key, value]) => [keyText(key), value]));
  return (
    values.size === expected.length &&
    expected.every((pair) => Array.isArray(pair) && values.has(keyText(pair[0])) && equal(values.get(keyText(pair[0])), pair[1]))
  );
}

/** A key as JSON would write it. */
function keyText(key: unknown): string {
  const number = numberOf(key);
  if (typeof key === "boolean" || key === null || number === undefined) return typeof key === "string" ? key : JSON.stringify(key);
  return String(number.value);
}

/** A number of either kind, exact for integers; booleans are numbers, as in Python. */
function numberOf(value: unknown): { value: number | bigint; float: boolean } | undefined {
  if (typeof value === "number") return { value: BigInt(value), float: false };
  if (typeof value === "boolean") return { value: value ? 1n : 0n, float: false };
  if (!Array.isArray(value) || value.length !== 2 || typeof value[1] !== "string") return undefined;
  const text = value[1];
  if (value[0] === "i" && /^-?0x[0-9a-f]+$/.test(text)) return { value: text[0] === "-" ? -BigInt(text.slice(1)) : BigInt(text), float: false };
  if (value[0] === "f") return { value: Number(text.replace("inf", "Infinity")), float: true };
  return undefined;
}

function sameNumber(a: { value: number | bigint; float: boolean }, b: { value: number | bigint; float: boolean }): boolean {
  if (!a.float && !b.float) return a.value === b.value;
  return close(Number(a.value), Number(b.value));
}

const close = (a: number, b: number) => Object.is(a, b) || a === b || (Number.isFinite(b) && Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(b)));

function linesOf(text: string): string[] {
  const lines = text.split(/\r\n|\r|\n/).map((line) => line.trimEnd());
  while (lines.at(-1) === "") lines.pop();
  return lines;
}

const INTEGER = /^[+-]?\d+$/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

function sameWords(line: string, wanted: string): boolean {
  const [words, expected] = [line.trim().split(/\s+/), wanted.trim().split(/\s+/)];
  return words.length === expected.length && words.every((word, i) => word === expected[i] || sameNumberText(word, expected[i]));
}

function sameNumberText(a: string, b: string): boolean {
  if (!NUMBER.test(a) || !NUMBER.test(b) || (INTEGER.test(a) && INTEGER.test(b))) return false;
  return close(Number(a), Number(b));
}
