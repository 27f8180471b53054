// 10,000 seeded random calls at every export of the kernels, in TypeScript and of the addon itself, most of them wrong. None may
// crash the process or hang, and whatever fails must fail with an Error that says something.
import { afterAll, describe, expect, test } from "bun:test";
import * as kernels from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { Random } from "../reference/random.ts";

// DeviceArrays are on "cpu", or on "cuda" when test/native/cuda_addon runs this file, whose shim is slow.
const device = (process.env.PRIMEKIT_TEST_DEVICE ?? "cpu") as "cpu" | "cuda";
const CALLS = device === "cpu" ? 10_000 : 2_000;
const exported: Record<string, unknown> = { ...kernels };
afterAll(() => native().setThreads(0));

type Make = (random: Random) => unknown;
type Shape = Record<string, Make>;

const floats =
  (length: number): Make =>
  (random) =>
    random.normals(length);
const ints =
  (...values: number[]): Make =>
  () =>
    Int32Array.from(values);
const constant =
  (value: unknown): Make =>
  () =>
    value;

// Values that make one good small call: 2 rows of 3 and 2 tokens, V = 4, C = 2.
const N = 5;
const good: Shape = {
  logits: floats(N * 4), targets: ints(0, 1, 2, 3, 0), vocabSize: constant(4), rowStride: constant(4), temperature: constant(1),
  hidden: floats(N * 2), weight: floats(8), hiddenSize: constant(2), dLogits: floats(N * 4), dHidden: floats(N * 2), dWeight: floats(8),
  perToken: floats(N), offsets: ints(0, 3, 5), perRow: floats(2), groupOffsets: ints(0, 2), beta: constant(0.1), one: constant(1), zero: constant(0),
  labels: () => Float32Array.of(1, 0), stepEnds: ints(1, 1), stepOffsets: ints(0, 1, 2), perStep: floats(2), yes: constant(true), no: constant(false),
  groupSize: constant(2), nothing: constant(undefined), cancel: () => new Int32Array(new SharedArrayBuffer(4)),
}; // biome-ignore format: a table

const EXTREMES = [0, -0, 1, -1, 2, 3, 5, 0.5, 1e-300, 1e300, -1e300, 2 ** 31, 2 ** 31 - 1, -(2 ** 31), 2 ** 32, 2 ** 53, NaN, Infinity, -Infinity];

function randomLength(random: Random): number {
  return random.next() < 0.9 ? random.integer(0, 24) : random.integer(0, 2000);
}

function randomFloats(random: Random): Float32Array | Float64Array {
  const Class = random.next() < 0.6 ? Float32Array : Float64Array;
  const array = new Class(randomLength(random));
  for (let i = 0; i < array.length; i++) array[i] = random.next() < 0.2 ? EXTREMES[random.integer(0, EXTREMES.length - 1)] : random.normal();
  return array;
}

function randomInts(random: Random): Int32Array {
  const array = new Int32Array(random.integer(0, 8));
  const rising = random.next() < 0.5;
  for (let i = 0; i < array.length; i++)
    array[i] = rising
      ? i
        ? array[i - 1] + random.integer(0, 3)
        : 0
      : random.next() < 0.2
        ? EXTREMES[random.integer(0, EXTREMES.length - 1)]
        : random.integer(-2, 9);
  return array;
}

const detached = () => {
  const array = new Float32Array(8);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
};

const freed = () => {
  const array = kernels.DeviceArray.from(new Float32Array(5), { device });
  array.free();
  return array;
};
const onDevice: Make = (random) => kernels.DeviceArray.from(random.next() < 0.5 ? randomFloats(random) : randomInts(random), { device });

const junk: Make[] = [
  onDevice, onDevice, freed, () => ({ handle: {} }), () => ({ handle: undefined }), constant("cuda"),
  constant(undefined), constant(null), constant(true), constant(""), constant("token-mean"), constant("released"), constant(12n), constant(Symbol("s")), () => ({}), () => [], () => [1, 2, 3], () => () => 1,
  () => new Uint8Array(20), () => new Uint16Array(20), () => new BigInt64Array(4), () => new DataView(new ArrayBuffer(20)), () => new ArrayBuffer(20), () => new SharedArrayBuffer(20), () => new Date(Number.NaN), () => new Map(),
  () => Object.create(null), () => Object.create(Float32Array.prototype), () => Object.setPrototypeOf({ length: 5, buffer: new ArrayBuffer(20) }, Int32Array.prototype), detached,
  () => new Float32Array(new ArrayBuffer(40, { maxByteLength: 80 })), () => new Float32Array(new SharedArrayBuffer(40), 4, 5), () => AbortSignal.abort(), () => new Proxy({}, {}),
]; // biome-ignore format: a table

function randomValue(random: Random): unknown {
  const kind = random.next();
  if (kind < 0.3) return EXTREMES[random.integer(0, EXTREMES.length - 1)];
  if (kind < 0.5) return randomFloats(random);
  if (kind < 0.7) return randomInts(random);
  return junk[random.integer(0, junk.length - 1)](random);
}

/** A good value, or with some probability anything. */
function perhaps(random: Random, make: Make, chance: number): unknown {
  return random.next() < chance ? randomValue(random) : make(random);
}

/** The arguments with every array of floats on the device instead. */
function moved(args: unknown[]): unknown[] {
  const move = (value: unknown) =>
    ArrayBuffer.isView(value) && (value instanceof Float32Array || value instanceof Float64Array) && value.length > 0
      ? kernels.DeviceArray.from(value, { device })
      : value;
  const options = (value: unknown) =>
    value && Object.getPrototypeOf(value) === Object.prototype ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, move(each)])) : value;
  return args.map((value) => options(move(value)));
}

const KERNELS = [
  "tokenLogprobs",
  "tokenLogprobsBackward",
  "linearLogprobs",
  "linearLogprobsBackward",
  "implicitRewards",
  "stepRewards",
  "primeAdvantages",
  "ppoClipLoss",
  "prmCrossEntropyLoss",
  "prmDpoLoss",
];

/** Positional arguments of each function of ts/kernels.ts; a nested array lists the keys of its options object. */
const publicArguments: Record<string, (string | [string, string][])[]> = {
  tokenLogprobs: ["logits", "targets", [["vocabSize", "vocabSize"], ["temperature", "temperature"], ["rowStride", "rowStride"], ["out", "nothing"]]],
  tokenLogprobsBackward: ["logits", "targets", "perToken", [["vocabSize", "vocabSize"], ["temperature", "temperature"], ["dEntropy", "perToken"], ["out", "nothing"]]],
  linearLogprobs: ["hidden", "weight", "targets", [["vocabSize", "vocabSize"], ["hiddenSize", "hiddenSize"], ["temperature", "temperature"], ["out", "nothing"]]],
  linearLogprobsBackward: ["hidden", "weight", "targets", "perToken", [["vocabSize", "vocabSize"], ["hiddenSize", "hiddenSize"], ["dEntropy", "perToken"], ["logSumExp", "perToken"], ["entropy", "perToken"], ["accumulate", "no"]]],
  implicitRewards: ["perToken", "perToken", "offsets", [["beta", "beta"], ["out", "nothing"]]],
  stepRewards: ["perToken", "offsets", "stepEnds", "stepOffsets", [["out", "nothing"]]],
  primeAdvantages: [[["processRewards", "perToken"], ["outcomeRewards", "perRow"], ["offsets", "offsets"], ["groupSize", "groupSize"], ["gammaProcess", "one"], ["processCoef", "one"], ["whiten", "yes"], ["baseline", "nothing"]]],
  ppoClipLoss: [[["logprobs", "perToken"], ["oldLogprobs", "perToken"], ["advantages", "perToken"], ["offsets", "offsets"], ["clipLow", "one"], ["dualClip", "one"], ["entropy", "perToken"], ["refLogprobs", "perToken"], ["klCoef", "one"], ["aggregate", "nothing"], ["normalizer", "one"]]],
  prmCrossEntropyLoss: [[["prmLogprobs", "perToken"], ["refLogprobs", "perToken"], ["offsets", "offsets"], ["labels", "labels"], ["beta", "beta"], ["normalizer", "one"]]],
  prmDpoLoss: [[["prmLogprobs", "perToken"], ["refLogprobs", "perToken"], ["offsets", "offsets"], ["labels", "labels"], ["groupSize", "groupSize"], ["groupScores", "perRow"], ["beta", "beta"]]],
}; // biome-ignore format: a table

/** Positional arguments of each export of the addon. */
const nativeArguments: Record<string, string[]> = {
  tokenLogprobs: ["perToken", "perToken", "logits", "targets", "vocabSize", "rowStride", "temperature"],
  tokenLogprobsBackward: ["dLogits", "logits", "targets", "perToken", "perToken", "vocabSize", "rowStride", "temperature"],
  linearLogprobs: ["perToken", "perToken", "perToken", "hidden", "weight", "targets", "vocabSize", "hiddenSize", "temperature"],
  linearLogprobsBackward: [
    "dHidden",
    "dWeight",
    "hidden",
    "weight",
    "targets",
    "perToken",
    "perToken",
    "perToken",
    "perToken",
    "vocabSize",
    "hiddenSize",
    "temperature",
    "no",
  ],
  implicitRewards: ["perToken", "perToken", "perRow", "perToken", "perToken", "offsets", "beta"],
  stepRewards: ["perStep", "perStep", "perToken", "offsets", "stepEnds", "stepOffsets"],
  primeAdvantages: ["perToken", "perToken", "perToken", "perRow", "offsets", "groupOffsets", "one", "one", "one", "one", "no", "yes", "yes"],
  ppoClipLoss: [
    "perToken",
    "perToken",
    "perToken",
    "perToken",
    "perToken",
    "perToken",
    "perToken",
    "offsets",
    "one",
    "one",
    "zero",
    "zero",
    "one",
    "one",
    "zero",
  ],
  prmCrossEntropyLoss: ["perToken", "perRow", "perToken", "perToken", "offsets", "labels", "beta", "zero"],
  prmDpoLoss: ["perToken", "perToken", "perToken", "offsets", "labels", "groupOffsets", "perRow", "beta"],
};

interface Tally {
  succeeded: number;
  failed: number;
  bad: string[];
}

function note(tally: Tally, error: unknown): void {
  tally.failed++;
  if (!(error instanceof Error) || error.message.length < 10) tally.bad.push(String(error));
}

/** Calls f, and waits for what it returns when that is a promise. */
function attempt(tally: Tally, f: (...args: never[]) => unknown, args: unknown[]): Promise<void> | undefined {
  try {
    const result = f(...(args as never[]));
    if (result instanceof Promise)
      return result.then(
        () => void tally.succeeded++,
        (error) => note(tally, error),
      );
    tally.succeeded++;
  } catch (error) {
    note(tally, error);
  }
}

async function bombard(f: (...args: never[]) => unknown, makeArguments: (random: Random) => unknown[], seed: number): Promise<Tally> {
  const random = new Random(seed);
  const tally: Tally = { succeeded: 0, failed: 0, bad: [] };
  let pending: Promise<void>[] = [];
  for (let i = 0; i < CALLS; i++) {
    const promise = attempt(tally, f, makeArguments(random));
    if (promise) pending.push(promise);
    if (pending.length >= 64) {
      await Promise.all(pending);
      pending = [];
    }
  }
  await Promise.all(pending);
  return tally;
}

function publicCall(spec: (string | [string, string][])[]) {
  return (random: Random): unknown[] => {
    const chance = [0, 0.1, 0.3, 1][random.integer(0, 3)];
    const args = spec.map((item) => {
      if (typeof item === "string") return perhaps(random, good[item], chance);
      const options: Record<string, unknown> = {};
      for (const [key, value] of item) if (random.next() > chance / 4) options[key] = perhaps(random, good[value], chance);
      if (random.next() < 0.05) options.out = { [random.next() < 0.5 ? "logprobs" : "rewards"]: randomValue(random) };
      if (random.next() < 0.02) options[`typo${random.integer(0, 9)}`] = 1;
      return random.next() < chance / 4 ? randomValue(random) : options;
    });
    if (random.next() < 0.2) return moved(args);
    return random.next() < 0.05 ? args.slice(0, random.integer(0, args.length)) : args;
  };
}

function nativeCall(spec: string[]) {
  return (random: Random): unknown[] => {
    const chance = [0, 0.1, 0.3, 1][random.integer(0, 3)];
    const args = spec.map((name) => perhaps(random, good[name], chance));
    if (random.next() < 0.3) args.push(perhaps(random, good.cancel, chance));
    if (random.next() < 0.2) return moved(args);
    return random.next() < 0.05 ? args.slice(0, random.integer(0, args.length)) : args;
  };
}

function expectSound(tally: Tally): void {
  expect(tally.bad).toEqual([]);
  expect(tally.succeeded + tally.failed).toBe(CALLS);
  expect(tally.failed).toBeGreaterThan(CALLS / 4); // most calls are wrong...
  expect(tally.succeeded).toBeGreaterThan(CALLS / 10); // ...and the good ones show that the tables fit the functions
}

test("every export of ts/kernels.ts and every kernel of the addon is in the tables", () => {
  const functions = Object.entries(kernels)
    .filter(([, value]) => typeof value === "function" && value !== kernels.DeviceArray)
    .map(([name]) => name);
  expect(functions.sort()).toEqual(KERNELS.flatMap((name) => [name, `${name}Async`]).sort());
  for (const name of KERNELS) expect(typeof native()[name as keyof ReturnType<typeof native>]).toBe("function");
});

describe("random bad calls, ts/kernels.ts", () => {
  KERNELS.forEach((name, k) => {
    for (const variant of [name, `${name}Async`]) {
      test(variant, async () => {
        expectSound(await bombard(exported[variant] as never, publicCall(publicArguments[name]), 1000 + k));
      }, 60_000);
    }
  });
});

describe("random bad calls, the addon", () => {
  KERNELS.forEach((name, k) => {
    test(name, async () => {
      expectSound(await bombard(native()[name as keyof ReturnType<typeof native>] as never, nativeCall(nativeArguments[name]), 2000 + k));
    }, 60_000);
  });

  test("memoryBandwidth", async () => {
    // Good calls take long, so only wrong ones.
    const wrong = (random: Random) => {
      const value = randomValue(random);
      return typeof value === "number" && value >= 1 ? [value + 0.5] : [value, randomValue(random)];
    };
    expect((await bombard(native().memoryBandwidth as never, wrong, 3000)).bad).toEqual([]);
  }, 60_000);
});
