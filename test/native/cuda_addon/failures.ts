// Device "cuda" out of memory or lost; run by cuda_addon.test.ts with the addon on the CUDA shim. Last what nothing works after.
import { expect, test } from "bun:test";
import { DeviceArray, implicitRewards, implicitRewardsAsync, linearLogprobsAsync, tokenLogprobs } from "../../../ts/kernels.ts";
import { Model } from "../../../ts/model.ts";
import { native } from "../../../ts/native/addon.ts";
import { randomModel, TINY } from "../../support/models.ts";
import { shimControls } from "./shim.ts";

const shim = shimControls();
const device = "cuda";
const offsets = Int32Array.of(0, 4);
const values = Float32Array.of(-1, -2, -3, -4);
const rewards = () => implicitRewards(values, values.slice().fill(-1), offsets, { beta: 1, device }).rewards;
const good = Float32Array.of(0, -1, -2, -3);

async function failureOf(work: () => unknown): Promise<{ code?: string; message: string }> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing failed");
}

test("an array that does not fit is an error with figures, and the next call works", async () => {
  expect(rewards()).toEqual(good);
  const before = shim.usedMemory();
  shim.limitMemory(before + (1 << 20));
  for (const work of [
    () => DeviceArray.from(new Float32Array(1 << 20), { device }),
    () => DeviceArray.fromAsync({ shape: 1 << 20, dtype: "float32" }, { device }),
    () => tokenLogprobs(new Float32Array(1 << 21), new Int32Array(2), { vocabSize: 1 << 20, device }),
    () => linearLogprobsAsync(new Float32Array(1 << 18), new Float32Array(1 << 18), new Int32Array(1 << 9), { vocabSize: 512, hiddenSize: 512, device }),
  ]) {
    const { code, message } = await failureOf(work);
    expect(code).toBe("ERR_OUT_OF_MEMORY");
    expect(message).toMatch(/^The GPU has not enough memory for .*: \d+ MiB of \d+ MiB are free\./);
    expect(rewards()).toEqual(good);
  }
  shim.limitMemory(2 ** 33);
  expect(shim.usedMemory()).toBeLessThanOrEqual(before + (8 << 20)); // what is kept from call to call
});

test("memory that outputs took for a call that failed is given back", async () => {
  using array = DeviceArray.from(new Float32Array(1 << 16), { device });
  using wide = DeviceArray.from(new Float32Array(1 << 16), { device });
  const rows = Int32Array.of(0, 1 << 16);
  for (const output of Object.values(implicitRewards(array, wide, rows, { beta: 1 }))) (output as DeviceArray).free();
  array.toHost(); // after what was freed
  const before = shim.usedMemory();
  for (const work of [() => implicitRewards(array, wide, rows, { beta: 1 }), () => implicitRewardsAsync(array, wide, rows, { beta: 1 })]) {
    shim.limitMemory(before + (1 << 18) + 1000); // the first output fits, the second does not
    expect((await failureOf(work)).code).toBe("ERR_OUT_OF_MEMORY");
    expect(shim.usedMemory()).toBe(before);
  }
  shim.limitMemory(2 ** 33);
});

test("a model that does not fit, and a batch that does not, leave the process and the model usable", async () => {
  using model = await randomModel(TINY, { device });
  const batch = { tokens: Int32Array.of(1, 2, 3, 4), offsets };
  const wanted = (await model.logprobs(batch)).logprobs;
  shim.limitMemory(shim.usedMemory() + (1 << 20));
  const large = { ...TINY, hiddenSize: 256, intermediateSize: 1024, vocabSize: 4000 };
  expect((await failureOf(() => Model.load(large, { device }))).code).toBe("ERR_OUT_OF_MEMORY");
  const long = Int32Array.from({ length: 1500 }, (_, i) => i % 30);
  expect((await failureOf(() => model.logprobs({ tokens: long, offsets: Int32Array.of(0, long.length) }))).code).toBe("ERR_OUT_OF_MEMORY");
  shim.limitMemory(2 ** 33);
  expect((await model.logprobs(batch)).logprobs).toEqual(wanted);
  expect(native().cudaMemory().total).toBe(2 ** 33);
});

test("an array on one device is refused beside one on another", () => {
  using far = DeviceArray.from(values, { device });
  using near = DeviceArray.from(values, { device: "cpu" });
  expect(() => implicitRewards(far, near, offsets, { beta: 1 })).toThrow(
    'The arrays of one call must be together: prmLogprobs is a DeviceArray on "cuda", but refLogprobs is a DeviceArray on "cpu".',
  );
});

test("a lost device is reported as such, again and again; freeing what was there does no harm", async () => {
  const array = DeviceArray.from(values, { device });
  const model = await randomModel(TINY, { device });
  shim.loseDevice(true);
  for (const work of [
    rewards,
    () => array.toHost(),
    () => array.setAsync(values),
    () => DeviceArray.from(values, { device }),
    () => model.logprobs({ tokens: Int32Array.of(1, 2), offsets: Int32Array.of(0, 2) }),
  ]) {
    const { code, message } = await failureOf(work);
    expect(code).toBe("ERR_DEVICE_LOST");
    expect(message).toContain("restart the process");
  }
  array.free();
  model.close();
  expect(implicitRewards(values, values, offsets, { beta: 1 }).scores).toEqual(Float32Array.of(0)); // the CPU goes on
});
