// One call of every kernel with its arrays, for tests that carry them out in several places and compare.
import { expect } from "bun:test";
import * as kernels from "../../ts/kernels.ts";
import { DeviceArray } from "../../ts/kernels.ts";
import type { HostArray } from "../../ts/native/types.ts";
import { toBfloat16 } from "../reference/logprobs.ts";
import { Random } from "../reference/random.ts";

type Place = (value: unknown) => unknown;
interface KernelCase {
  name: string;
  title: string;
  /** Positional arguments, every array through `place`; `extra` goes into the options. */
  args(place?: Place, extra?: object): never[];
}

const random = new Random(17);
const offsets = Int32Array.of(0, 5, 5, 6, 21);
const [n, vocabSize, hiddenSize] = [21, 37, 24];
const perToken = () => random.logprobs(n);
const [prm, ref, old, entropy, process] = [perToken(), perToken(), perToken(), perToken().map((x) => -x), random.normals(n)];
const [labels, outcome, groupOffsets] = [Float32Array.of(1, 0, 0.25, 1), Float32Array.of(1, 0, 0, 1), Int32Array.of(0, 2, 4)];
const [logits, targets, d, dEntropy] = [random.normals(n * vocabSize, 3), random.tokens(n, vocabSize), random.normals(n), random.normals(n)];
const [hidden, weight] = [random.normals(n * hiddenSize), random.normals(vocabSize * hiddenSize, 0.3)];
const half = (values: Float32Array) => toBfloat16(values).bits;
const double = (values: Float32Array) => Float64Array.from(values);

const positional =
  (arrays: unknown[], options: Record<string, unknown>): KernelCase["args"] =>
  (place = (value) => value, extra = {}) =>
    [...arrays.map(place), { ...Object.fromEntries(Object.entries(options).map(([key, value]) => [key, place(value)])), ...extra }] as never[];
const linear = { vocabSize, hiddenSize, temperature: 0.8 };
const advantages = { processRewards: process, outcomeRewards: outcome, offsets, groupOffsets };
const ppo = { logprobs: prm, oldLogprobs: old, advantages: process, offsets };

/** Both log-prob types, both logit types, with and without what is optional. */
export const KERNEL_CALLS: KernelCase[] = (
  [
    ["tokenLogprobs", "", [logits, targets], { vocabSize }],
    ["tokenLogprobs", " of bfloat16", [half(logits), targets], { vocabSize: vocabSize - 2, rowStride: vocabSize }, targets.map((id) => id % 35)],
    ["tokenLogprobsBackward", "", [logits, targets, d], { vocabSize, dEntropy, temperature: 1.3 }],
    ["tokenLogprobsBackward", " by bfloat16", [half(logits), targets, d], { vocabSize }],
    ["linearLogprobs", "", [hidden, weight, targets], linear],
    ["linearLogprobs", " of bfloat16", [half(hidden), half(weight), targets], linear],
    ["linearLogprobsBackward", "", [hidden, weight, targets, d], { ...linear, dEntropy }],
    ["linearLogprobsBackward", " by bfloat16", [half(hidden), half(weight), targets, d], linear],
    ["implicitRewards", "", [prm, ref, offsets], { beta: 0.3 }],
    ["implicitRewards", " of float64", [double(prm), double(ref), offsets], { beta: 0.3 }],
    ["stepRewards", "", [process, offsets, Int32Array.of(1, 4, 0, 14), Int32Array.of(0, 2, 2, 3, 4)], {}],
    ["primeAdvantages", "", [], advantages],
    ["primeAdvantages", " of outcomes", [], { outcomeRewards: outcome, offsets, groupSize: 2, whiten: false }],
    ["ppoClipLoss", "", [], ppo],
    ["ppoClipLoss", " with everything", [], { ...ppo, entropy, entropyCoef: 0.1, refLogprobs: ref, klCoef: 0.2, dualClip: 3, aggregate: "sequence-mean" }],
    ["prmCrossEntropyLoss", "", [], { prmLogprobs: prm, refLogprobs: ref, offsets, labels, beta: 0.4 }],
    ["prmDpoLoss", "", [], { prmLogprobs: double(prm), refLogprobs: double(ref), offsets, labels, groupOffsets, beta: 0.4, groupScores: outcome }],
  ] as [string, string, unknown[], Record<string, unknown>, Int32Array?][]
).map(([name, suffix, arrays, options, ids]) => ({
  name,
  title: name + suffix,
  args: positional(ids ? [arrays[0], ids] : arrays, options),
}));

export const kernel = (name: string) => (kernels as unknown as Record<string, (...args: unknown[]) => unknown>)[name];

/** An array of numbers on a device; ids and offsets only when asked. Anything else as it is. */
export function movedTo(device: "cpu" | "cuda", value: unknown, indicesToo: boolean): unknown {
  return ArrayBuffer.isView(value) && (indicesToo || !(value instanceof Int32Array)) ? DeviceArray.from(value as HostArray, { device }) : value;
}

export const hostOf = (value: unknown) => (value instanceof DeviceArray ? value.toHost<HostArray>() : value);

/** Within 1e-5 of its size and of the mean size (bfloat16: as its rounding allows), or the same bits. */
export function expectSame(got: unknown, wanted: unknown, what: string, exactly: boolean): void {
  const [a, b] = [numbersOf(got), numbersOf(wanted)];
  expect(a.length, what).toBe(b.length);
  const tolerance = exactly ? 0 : got instanceof Uint16Array ? 2 ** -7 : 1e-5;
  const mean = b.reduce((sum, x) => sum + (Number.isFinite(x) ? Math.abs(x) : 0), 0) / Math.max(b.length, 1);
  for (let i = 0; i < a.length; i++)
    if (!Object.is(a[i] + 0, b[i] + 0) && !(Math.abs(a[i] - b[i]) <= tolerance * (Math.abs(b[i]) + mean))) expect(a[i], `${what}: element ${i}`).toBe(b[i]);
}

// --- internal ---

function numbersOf(value: unknown): number[] {
  if (typeof value === "number") return [value];
  if (value instanceof Uint16Array) return Array.from(new Float32Array(Uint32Array.from(value, (bits) => bits * 65536).buffer));
  return Array.from(value as Float32Array);
}
