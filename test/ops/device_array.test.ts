// DeviceArray and every kernel on it. Run as it is, the device is "cpu"; test/native/cuda_addon runs the same file on "cuda" through a shim
// that stands in for a GPU, and scripts/gpu_check.sh on a real one (PRIMEKIT_TEST_DEVICE=cuda).
import { afterAll, describe, expect, test } from "bun:test";
import { DeviceArray, implicitRewards, ppoClipLoss, tokenLogprobs, tokenLogprobsBackward } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import type { HostArray } from "../../ts/native/types.ts";
import { toBfloat16 } from "../reference/logprobs.ts";
import { Random, sameBits } from "../reference/random.ts";
import { expectSame, hostOf, KERNEL_CALLS, kernel, movedTo } from "./kernel_calls.ts";

const device = (process.env.PRIMEKIT_TEST_DEVICE ?? "cpu") as "cpu" | "cuda";
const random = new Random(5);
const codeOf = (work: () => unknown): string | undefined => {
  try {
    work();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

describe("DeviceArray", () => {
  test("holds every type of array and gives it back, at once and later", async () => {
    const arrays: [HostArray, string][] = [
      [random.normals(1000), "float32"],
      [Float64Array.from(random.normals(7)), "float64"],
      [toBfloat16(random.normals(33)).bits, "bfloat16"],
      [random.tokens(5, 100), "int32"],
      [new Float32Array(0), "float32"],
    ];
    for (const [values, dtype] of arrays) {
      using array = DeviceArray.from(values, { device });
      expect([array.dtype, array.length, array.byteLength, array.device]).toEqual([dtype as never, values.length, values.byteLength, device]);
      expect(sameBits(array.toHost() as Float32Array, values as Float32Array)).toBe(true);
      const later = await DeviceArray.fromAsync(values, { device });
      const out = values.slice().fill(0);
      expect(await later.toHostAsync(out)).toBe(out);
      expect(sameBits(out as Float32Array, values as Float32Array)).toBe(true);
      later.free();
    }
  });

  test("zeros of a shape; new values for old ones", async () => {
    using zeros = DeviceArray.from({ shape: [3, 5], dtype: "float32" }, { device });
    expect([zeros.length, zeros.shape]).toEqual([15, [3, 5]]);
    expect(zeros.toHost()).toEqual(new Float32Array(15));
    const values = random.normals(15);
    zeros.set(values);
    expect(zeros.toHost()).toEqual(values);
    await zeros.setAsync(values.slice().reverse());
    expect(await zeros.toHostAsync()).toEqual(values.slice().reverse());
  });

  test("is freed once, and of no use then", () => {
    const array = DeviceArray.from(new Float32Array(4), { device });
    array.free();
    expect(array.freed).toBe(true);
    for (const work of [() => array.free(), () => array.toHost(), () => array.set(new Float32Array(4))]) expect(codeOf(work)).toBe("ERR_ARRAY_FREED");
    array[Symbol.dispose](); // `using` after free() is no mistake
    using other = DeviceArray.from(new Float32Array(4), { device });
    const call = () => implicitRewards(array, other, Int32Array.of(0, 4), { beta: 1 });
    expect(codeOf(call)).toBe("ERR_ARRAY_FREED");
    expect(call).toThrow("prmLogprobs is a DeviceArray that was freed.");
  });

  test("says what is wrong with its arguments", () => {
    using array = DeviceArray.from(new Float32Array(4), { device });
    expect(() => array.toHost(new Float32Array(3))).toThrow(/a Float32Array of 4 elements/);
    expect(() => array.set(new Int32Array(4))).toThrow(/a Float32Array, as the DeviceArray is one of float32/);
    expect(() => DeviceArray.from([1, 2] as never, { device })).toThrow(/dtype must be/);
    expect(() => DeviceArray.from({ shape: -1, dtype: "float32" }, { device })).toThrow(/shape must be/);
    expect(() => DeviceArray.from(new Float32Array(1), { device: "gpu" as never })).toThrow(/device must be "auto", "cpu" or "cuda"/);
  });

  test('without a GPU, "cuda" is refused in words, for arrays and for calls', () => {
    if (native().info().cudaBackend && native().cudaState().devices.length > 0) return;
    const values = new Float32Array(4);
    for (const work of [
      () => DeviceArray.from(values, { device: "cuda" }),
      () => implicitRewards(values, values, Int32Array.of(0, 4), { beta: 1, device: "cuda" }),
    ]) {
      expect(codeOf(work)).toBe("ERR_UNSUPPORTED");
      expect(work).toThrow(/device "cpu"/);
    }
  });

  test("forgotten ones are given back without a word", async () => {
    for (let i = 0; i < 2000; i++) DeviceArray.from({ shape: 1000, dtype: "float32" }, { device });
    Bun.gc(true);
    await new Promise((resolve) => setTimeout(resolve, 0));
    using array = DeviceArray.from(Float32Array.of(1), { device });
    expect(array.toHost()).toEqual(Float32Array.of(1));
  });
});

describe("kernels on DeviceArrays", () => {
  const made: DeviceArray[] = [];
  const move = (indicesToo: boolean) => (value: unknown) => {
    const moved = movedTo(device, value, indicesToo);
    if (moved instanceof DeviceArray) made.push(moved);
    return moved;
  };
  afterAll(() => {
    for (const array of made) array[Symbol.dispose]();
  });

  for (const { name, title, args } of KERNEL_CALLS) {
    test(`${title}: the values of the CPU, there, at once and later, with ids on the device too, and copied there and back`, async () => {
      const wanted = kernel(name)(...args(), {}) as Record<string, unknown>;
      for (const [variant, indicesToo] of [
        [name, false],
        [`${name}Async`, false],
        [`${name}Async`, true],
        [name, true],
      ] as const) {
        const result = (await kernel(variant)(...args(move(indicesToo)))) as Record<string, unknown>;
        for (const [key, value] of Object.entries(result)) {
          expect(typeof value === "number" || value instanceof DeviceArray, `${key} is ${value}`).toBe(true);
          expectSame(hostOf(value), wanted[key], `${title} ${key}`, device === "cpu");
          if (value instanceof DeviceArray) value.free();
        }
      }
      for (const variant of [name, `${name}Async`]) {
        const copied = (await kernel(variant)(...args((value) => value, { device }))) as Record<string, unknown>;
        for (const [key, value] of Object.entries(copied)) expectSame(value, wanted[key], `${title} ${key}, copied`, device === "cpu");
      }
    });
  }

  test("results go where `out` says, in place of the logits too", () => {
    const [n, vocabSize] = [3, 50];
    const logits = random.normals(n * vocabSize);
    const targets = random.tokens(n, vocabSize);
    const wanted = tokenLogprobsBackward(logits, targets, new Float32Array(n).fill(1), { vocabSize }).dLogits;
    using place = DeviceArray.from(logits, { device });
    using d = DeviceArray.from(new Float32Array(n).fill(1), { device });
    expect(tokenLogprobsBackward(place, targets, d, { vocabSize, out: { dLogits: place } }).dLogits).toBe(place);
    expectSame(place.toHost(), wanted, "dLogits", device === "cpu");
  });

  test("a mixture, a wrong type, a wrong length: errors that name the arrays", async () => {
    const values = random.normals(4);
    const offsets = Int32Array.of(0, 4);
    using array = DeviceArray.from(values, { device });
    using short = DeviceArray.from(new Float32Array(3), { device });
    using wide = DeviceArray.from(new Float64Array(4), { device });
    using ids = DeviceArray.from(new Int32Array(4), { device });
    const rewards = (prm: unknown, ref: unknown, options = {}) => implicitRewards(prm as DeviceArray, ref as DeviceArray, offsets, { beta: 1, ...options });
    expect(() => rewards(array, values)).toThrow(
      `The arrays of one call must be together: prmLogprobs is a DeviceArray on "${device}", but refLogprobs is a typed array.`,
    );
    expect(() => rewards(array, array, { out: { q: new Float32Array(4) } })).toThrow(/but q is a typed array/);
    expect(() => rewards(array, short)).toThrow("refLogprobs must be a DeviceArray of 4 elements (the last offset), but got 3.");
    expect(() => rewards(array, wide)).toThrow("refLogprobs must be a DeviceArray of float32");
    expect(() => rewards(ids, array)).toThrow(/prmLogprobs must be/);
    const other = device === "cpu" ? "cuda" : "cpu";
    expect(() => rewards(array, array, { device: other })).toThrow(`device must be left out or "${device}"`);
    expect(() => rewards(values, values, { device: "tpu" })).toThrow(/device must be "cpu" or "cuda"/);
    using far = DeviceArray.from(Int32Array.of(9), { device });
    expect(() => tokenLogprobs(array, far, { vocabSize: 4 })).toThrow(/targets\[0\] must be a token id from 0 to 3/);
    const advantages = array;
    expect(() => ppoClipLoss({ logprobs: array, oldLogprobs: array, advantages, offsets, out: { dLogprobs: short } })).toThrow(/out.dLogprobs must be/);
    expect(array.toHost()).toEqual(values); // all is well still
  });
});
