import { expect, test } from "bun:test";
import { Model } from "../../ts/model.ts";
import { native } from "../../ts/native/addon.ts";

const TINY = { vocabSize: 20, hiddenSize: 8, intermediateSize: 16, numHiddenLayers: 1, numAttentionHeads: 2, numKeyValueHeads: 1 };
const hasGpu = () => native().info().cudaBackend && native().cudaState().devices.length > 0;

test('device "auto" takes the GPU where there is one, and otherwise the CPU', async () => {
  using model = await Model.load(TINY, { device: "auto" });
  expect(model.device).toBe(hasGpu() ? "cuda" : "cpu");
});

test('device "cuda" without a GPU is refused in words, and the process goes on', async () => {
  if (hasGpu()) return console.log("skipped: there is a GPU");
  const error = await Model.load(TINY, { device: "cuda" }).catch((reason) => reason);
  expect(error.code).toBe("ERR_UNSUPPORTED");
  expect(error.message).toMatch(/no CUDA backend|NVIDIA driver/);
  expect(error.message).toContain('device "cpu"');
  using model = await Model.load(TINY, { device: "cpu" });
  expect(model.device).toBe("cpu");
});
