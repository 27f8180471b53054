// Models on device "cuda" against the CPU's; run by cuda_addon.test.ts with the addon on the CUDA shim.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Model, type Rollout } from "../../../ts/model.ts";
import { randomModel, TINY } from "../../support/models.ts";
import { shimControls } from "./shim.ts";

const shim = shimControls();
const folder = mkdtempSync(join(tmpdir(), "primekit-shim-models-"));
afterAll(() => rmSync(folder, { recursive: true }));

const batch = { tokens: Int32Array.from({ length: 40 }, (_, i) => (i * 7 + 3) % TINY.vocabSize), offsets: Int32Array.of(0, 9, 9, 31, 40) };
const CASES = [
  ["float32", false, 1e-5],
  ["bfloat16", true, 0.02],
] as const;

/** The difference as a share of what is expected. */
function share(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(got.length).toBe(wanted.length);
  let [difference, size] = [0, 0];
  for (let i = 0; i < got.length; i++) {
    difference += (got[i] - wanted[i]) ** 2;
    size += wanted[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

describe("as on the CPU", () => {
  for (const [dtype, recompute, tolerance] of CASES) {
    test(`log-probs, gradients and steps in ${dtype}${recompute ? ", recomputed" : ""}`, async () => {
      const results = [];
      for (const device of ["cpu", "cuda"] as const) {
        using model = await randomModel(TINY, { device, dtype, recompute });
        expect(model.device).toBe(device);
        const before = await model.logprobs(batch, { temperature: 0.9 });
        const loss = (scores: { logprobs: Float32Array }) => ({
          dLogprobs: scores.logprobs.map((_, i) => (i % 3) - 1),
          dEntropy: scores.logprobs.map((_, i) => 0.01 * (i % 2)),
        });
        const norms = [];
        for (let step = 0; step < 3; step++) {
          await model.forwardBackward(batch, loss);
          norms.push((await model.step({ lr: 1e-3, weightDecay: 0.1 })).gradNorm);
        }
        const after = await model.logprobs(batch);
        results.push({ before, norms, after });
      }
      const [cpu, cuda] = results;
      expect(share(cuda.before.logprobs, cpu.before.logprobs)).toBeLessThan(tolerance);
      expect(share(cuda.before.entropy, cpu.before.entropy)).toBeLessThan(tolerance);
      expect(share(cuda.norms, cpu.norms)).toBeLessThan(3 * tolerance);
      expect(share(cuda.after.logprobs, cpu.after.logprobs)).toBeLessThan(5 * tolerance);
      expect(cuda.after.logprobs).not.toEqual(cpu.after.logprobs); // it is another computation
    });
  }

  test("generation draws the same tokens, in recorded steps", async () => {
    const prompts = [[1, 2, 3], [5], [7, 8]];
    const before = shim.graphsLaunched();
    const results: Rollout[][] = [];
    for (const device of ["cpu", "cuda"] as const) {
      using model = await randomModel(TINY, { device });
      results.push(await model.generate(prompts, { samples: 3, maxNewTokens: 12, temperature: 0.9, topP: 0.95, seed: 4, maxBatch: 4 }));
    }
    expect(shim.graphsLaunched()).toBeGreaterThan(before);
    results[1].forEach((rollout, i) => {
      expect(rollout.tokens).toEqual(results[0][i].tokens);
      expect(share(rollout.logprobs, results[0][i].logprobs)).toBeLessThan(1e-4);
    });
  });
});

test("what is saved from the one device is loaded on the other, bit for bit, moments too", async () => {
  using model = await randomModel(TINY, { device: "cuda" });
  await model.forwardBackward(batch, ({ logprobs }) => ({ dLogprobs: logprobs.map(() => 1) }));
  await model.step({ lr: 1e-3 });
  await model.save(join(folder, "model"));
  await model.saveOptimizer(join(folder, "optimizer.safetensors"));
  using other = await Model.load(join(folder, "model"), { device: "cpu" });
  await other.loadOptimizer(join(folder, "optimizer.safetensors"));
  for (const { name } of model.native.parameters())
    for (const slot of ["value", "firstMoment", "secondMoment"] as const)
      expect(await other.native.readParameter(name, slot)).toEqual(await model.native.readParameter(name, slot));
  using copy = await model.clone();
  expect((await copy.logprobs(batch)).logprobs).toEqual((await model.logprobs(batch)).logprobs);
});

test('device "auto" is the GPU that is there', async () => {
  using model = await Model.load(TINY, { device: "auto" });
  expect(model.device).toBe("cuda");
});

test("a model made while another one generates disturbs neither, and all memory comes back", async () => {
  const used = shim.usedMemory();
  const small = { ...TINY, numHiddenLayers: 1 };
  const busy = await randomModel(small, { device: "cuda" });
  const options = { samples: 2, maxNewTokens: 20, seed: 1, maxBatch: 4, stop: { tokens: [] } };
  const alone = await busy.generate([[1], [2]], options);
  const generating = busy.generate([[1], [2]], options);
  const loading: Promise<Model>[] = []; // each takes its memory at once, from this thread, and fills it when the other is done
  let done = false;
  const finished = generating.finally(() => {
    done = true;
  });
  while (!done) {
    loading.push(Model.load(small, { device: "cuda", seed: 3 }));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const made = await Promise.all(loading);
  expect(made.length).toBeGreaterThan(10);
  (await finished).forEach((rollout, i) => {
    expect(rollout.tokens).toEqual(alone[i].tokens);
  });
  await busy.generate([[1], [2]], options); // the record again: it must not hold what others did meanwhile
  using quiet = await Model.load(small, { device: "cuda", seed: 3 });
  const name = quiet.native.parameters()[0].name;
  for (const model of made) {
    expect(await model.native.readParameter(name, "value")).toEqual(await quiet.native.readParameter(name, "value"));
    model.close();
  }
  busy.close();
  quiet.close();
  expect(shim.usedMemory()).toBeLessThan(used + (64 << 20)); // but for the scratch of the ops
});
