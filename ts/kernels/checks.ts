// Guards of the kernels' arguments. Each names the argument, what was expected and what came.
import { rangeError, typeError } from "../errors.ts";
import type { ArrayDType, Floats, Matrix } from "../native/types.ts";
import { DeviceArray } from "./device_array.ts";

/** float32 values on the host or a device. */
export type Values = Float32Array | DeviceArray;
/** Logits, activations or weights: float32 or bfloat16. */
export type Logits = Matrix | DeviceArray;
/** Ids and offsets: on a device they are copied to the host to be checked, so they are better left there. */
export type Indices = Int32Array | DeviceArray;
/** The type of a kernel's float32 arrays where its main input is an A: beside typed arrays typed arrays, beside DeviceArrays those. */
export type Beside<A> = A extends DeviceArray ? DeviceArray : Float32Array;

export const MAX_SIZE = 2 ** 31 - 1; // of one dimension

type ArrayClass<T> = { new (length: number): T; readonly name: string };

function typed<T extends Int32Array | Float32Array>(Class: ArrayClass<T>, name: string, value: unknown, length?: number, lengthMeaning?: string): T {
  if (!(value instanceof Class)) throw typeError(name, `a ${Class.name}`, value);
  if (length !== undefined && value.length !== length)
    throw rangeError(name, `a ${Class.name} of ${length} elements${lengthMeaning ? ` (${lengthMeaning})` : ""}`, value);
  return value;
}

/** A DeviceArray of one of the types. Whether it is with the others, and not freed, is for the native side to say. */
function onDevice(name: string, array: DeviceArray, dtypes: readonly ArrayDType[], length?: number, lengthMeaning?: string): DeviceArray {
  if (!dtypes.includes(array.dtype)) throw typeError(name, `a DeviceArray of ${dtypes.join(" or ")}`, `one of ${array.dtype}`);
  if (length !== undefined && array.length !== length)
    throw rangeError(name, `a DeviceArray of ${length} elements${lengthMeaning ? ` (${lengthMeaning})` : ""}`, array.length);
  return array;
}

export function float32(name: string, value: unknown, length?: number, lengthMeaning?: string): Values {
  if (value instanceof DeviceArray) return onDevice(name, value, ["float32"], length, lengthMeaning);
  return typed(Float32Array, name, value, length, lengthMeaning);
}

export function int32(name: string, value: unknown, length?: number, lengthMeaning?: string): Int32Array {
  return typed(Int32Array, name, value, length, lengthMeaning);
}

export function optionalFloat32(name: string, value: unknown, length: number, lengthMeaning: string): Values | undefined {
  return value === undefined ? undefined : float32(name, value, length, lengthMeaning);
}

/** Log-probs: float32 or float64, all of one call alike. */
export function logProbs(name: string, value: unknown, length: number, like?: Floats | DeviceArray): Floats | DeviceArray {
  if (value instanceof DeviceArray)
    return onDevice(name, value, like instanceof DeviceArray ? [like.dtype] : ["float32", "float64"], length, "the last offset");
  if (!(value instanceof Float32Array) && !(value instanceof Float64Array)) throw typeError(name, "a Float32Array or a Float64Array", value);
  if (like && !(like instanceof DeviceArray) && value.constructor !== like.constructor)
    throw typeError(name, `a ${like.constructor.name} like the other log-probs`, value);
  if (value.length !== length) throw rangeError(name, `an array of ${length} elements (the last offset)`, value);
  return value;
}

/** [rows * columns] float32, or bfloat16 bits in a Uint16Array. */
export function matrix(name: string, value: unknown, length: number, lengthMeaning: string): Matrix | DeviceArray {
  if (value instanceof DeviceArray) return onDevice(name, value, ["float32", "bfloat16"], length, lengthMeaning);
  if (!(value instanceof Float32Array) && !(value instanceof Uint16Array)) throw typeError(name, "a Float32Array (or a Uint16Array of bfloat16 bits)", value);
  if (value.length !== length) throw rangeError(name, `an array of ${length} elements (${lengthMeaning})`, value);
  return value;
}

/** A float32 output: the caller's array, or a new one where `like`, an input, is. */
export function output<A>(name: string, given: unknown, length: number, like: A): Beside<A> {
  if (given !== undefined) return float32(`out.${name}`, given, length) as Beside<A>;
  return (like instanceof DeviceArray ? new DeviceArray("float32", [length], like.device) : new Float32Array(length)) as Beside<A>;
}

/** Row offsets [B+1]: from 0, never decreasing, to `end` when given. */
export function offsetsOf(name: string, value: unknown, end?: number, endMeaning?: string): Int32Array {
  const offsets = int32(name, value);
  if (offsets.length === 0) throw rangeError(name, "an Int32Array of at least one element (0)", value);
  if (offsets[0] !== 0) throw rangeError(`${name}[0]`, "0", offsets[0]);
  for (let i = 1; i < offsets.length; i++) {
    if (offsets[i] < offsets[i - 1]) throw rangeError(`${name}[${i}]`, `at least ${name}[${i - 1}] = ${offsets[i - 1]}`, offsets[i]);
  }
  if (end !== undefined && offsets[offsets.length - 1] !== end)
    throw rangeError(`the last element of ${name}`, `${end} (${endMeaning})`, offsets[offsets.length - 1]);
  return offsets;
}

export function targetsOf(value: unknown, vocabSize: number): Int32Array {
  const targets = int32("targets", value);
  for (let i = 0; i < targets.length; i++) {
    if (targets[i] < 0 || targets[i] >= vocabSize) throw rangeError(`targets[${i}]`, `a token id from 0 to ${vocabSize - 1}`, targets[i]);
  }
  return targets;
}

export function numberIn(name: string, value: unknown, low: number, high: number): number {
  if (typeof value !== "number") throw typeError(name, "a number", value);
  if (!(value >= low && value <= high)) throw rangeError(name, `a number from ${low} to ${high}`, value);
  return value;
}

export function integerIn(name: string, value: unknown, low: number, high: number): number {
  if (typeof value !== "number") throw typeError(name, "a number", value);
  if (!Number.isInteger(value) || value < low || value > high) throw rangeError(name, `an integer from ${low} to ${high}`, value);
  return value;
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw typeError(name, "a boolean", value);
  return value;
}

export function oneOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
  if (!choices.includes(value as T)) throw rangeError(name, `one of ${choices.map((c) => JSON.stringify(c)).join(", ")}`, value);
  return value as T;
}

/** A kernel's options: its own, and those of every kernel. */
export function kernelOptions<T extends object>(value: T, keys: readonly string[]): T {
  return optionsOf("options", value, [...keys, "out", "device", "signal"]);
}

/** The options object, with no unknown keys. */
export function optionsOf<T extends object>(name: string, value: T | undefined, keys: readonly string[]): T {
  if (typeof value !== "object" || value === null) throw typeError(name, "an object", value);
  for (const key of Object.keys(value)) {
    if (!keys.includes(key)) throw rangeError(`${name}.${key}`, `left out: the options are ${keys.join(", ")}`, (value as Record<string, unknown>)[key]);
  }
  return value;
}

/** Group boundaries [P+1] in rows, from groupSize or groupOffsets; every group that has rows has at least `least`. */
export function groupsOf(options: { groupSize?: number; groupOffsets?: Indices }, rows: number, least: 1 | 2): Int32Array {
  const reason = "the leave-one-out baseline of a rollout is the mean of the other rollouts of its prompt, so a group needs two";
  if (options.groupOffsets !== undefined) {
    if (options.groupSize !== undefined) throw rangeError("groupSize", "left out when groupOffsets is given", options.groupSize);
    const groups = offsetsOf("groupOffsets", options.groupOffsets, rows, "the number of rows");
    for (let p = 1; p < groups.length; p++) {
      if (least === 2 && groups[p] - groups[p - 1] === 1) throw rangeError(`the size of group ${p - 1}`, `at least 2 (${reason})`, 1);
    }
    return groups;
  }
  const size = integerIn("groupSize", options.groupSize, 1, 2 ** 31 - 1);
  if (size < least) throw rangeError("groupSize", `at least 2 (${reason})`, size);
  if (rows % size !== 0) throw rangeError("groupSize", `a divisor of the number of rows, ${rows}`, size);
  return Int32Array.from({ length: rows / size + 1 }, (_, p) => p * size);
}
