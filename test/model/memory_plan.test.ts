// planMemory() says what a model will allocate: against what it then did allocate.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Model, type ModelConfig, type ModelOptions, pack } from "../../ts/model.ts";
import { completeConfig, toNativeConfig } from "../../ts/model_config.ts";
import { native } from "../../ts/native/addon.ts";
import type { NativeMemoryPlan, PlannedWork } from "../../ts/native/types.ts";
import { Random } from "../reference/random.ts";
import { TINY } from "../support/models.ts";

const SMALL: ModelConfig = { ...TINY, vocabSize: 301, hiddenSize: 64, intermediateSize: 160, numHiddenLayers: 3, headDim: 16 };
const nothing: PlannedWork = { trainTokens: 0, scoreTokens: 0, slots: 0, promptTokens: 0, newTokens: 0 };

function planOf(config: ModelConfig, options: ModelOptions, work: PlannedWork): NativeMemoryPlan {
  const { dtype = "float32", recompute = false, trainable = true, moments = "float32" } = options;
  return native().planMemory(toNativeConfig(completeConfig(config)), { device: "cpu", dtype, recompute, trainable, moments }, work);
}

/** `tokens` tokens in rows of at most 50, all but each row's first scored. */
function batchOf(tokens: number) {
  const random = new Random(3);
  const rows = Array.from({ length: Math.ceil(tokens / 50) }, (_, i) => random.tokens(Math.min(50, tokens - 50 * i), SMALL.vocabSize));
  return pack(rows);
}

const within = (actual: number, planned: number, share = 0.1) => {
  expect(planned).toBeGreaterThanOrEqual(actual * (1 - share / 10));
  expect(planned).toBeLessThanOrEqual(actual * (1 + share));
};

for (const dtype of ["float32", "bfloat16"] as const)
  for (const [recompute, moments] of [
    [false, "float32"],
    [true, "bfloat16"],
  ] as const)
    test(`a step of training and a generation, ${dtype}${recompute ? ", recomputing" : ""}, moments in ${moments}`, async () => {
      using model = await Model.load(SMALL, { device: "cpu", dtype, recompute, moments });
      const ones = ({ logprobs }: { logprobs: Float32Array }) => ({ dLogprobs: logprobs.map(() => 1) });
      await model.forwardBackward(batchOf(1000), ones);
      await model.step({ lr: 1e-3 });
      const trained = model.native.memoryBytes();
      const training = planOf(SMALL, { dtype, recompute, moments }, { ...nothing, trainTokens: 1000 });
      expect(training.weights + training.rounded).toBe(trained.parameters);
      expect([training.gradients, training.moments]).toEqual([trained.gradients, trained.optimizer]);
      within(trained.activations, training.activations);
      expect(training.cache + training.decoding).toBe(0);

      await model.generate(
        Array.from({ length: 10 }, () => [1, 2, 3, 4, 5]),
        { samples: 4, maxNewTokens: 60, maxBatch: 24, stop: { tokens: [] } },
      );
      const after = model.native.memoryBytes();
      const whole = planOf(SMALL, { dtype, recompute, moments }, { trainTokens: 1000, scoreTokens: 0, slots: 24, promptTokens: 5, newTokens: 60 });
      within(after.parameters, whole.weights + whole.rounded, 0.02);
      within(after.activations, whole.activations + whole.cache);
      within(after.activations - trained.activations, whole.cache);
    });

test("a frozen model that scores keeps what it needs alone", async () => {
  for (const dtype of ["float32", "bfloat16"] as const) {
    const options = { device: "cpu", dtype, trainable: false } as const;
    using model = await Model.load(SMALL, options);
    await model.logprobs(batchOf(700));
    const { parameters, gradients, optimizer, activations } = model.native.memoryBytes();
    const plan = planOf(SMALL, options, { ...nothing, scoreTokens: 700 });
    expect([plan.weights + plan.rounded, plan.gradients, plan.moments]).toEqual([parameters, gradients, optimizer]);
    within(activations, plan.activations);
  }
});

test("the process grows by what was planned", () => {
  const program = join(import.meta.dir, "memory_plan_program.ts");
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, program], { env: { ...process.env, OMP_NUM_THREADS: "1" } });
  expect(exitCode, stderr.toString()).toBe(0);
  const { planned, grown } = JSON.parse(stdout.toString()) as { planned: number; grown: number };
  expect(planned).toBeGreaterThan(200e6);
  expect(Math.abs(grown / planned - 1)).toBeLessThan(0.1);
}, 60_000);

test("a plan for a GPU needs none, and misuse is named", () => {
  const config = toNativeConfig(completeConfig(SMALL));
  const options = { device: "cuda", dtype: "bfloat16", recompute: false, trainable: true, moments: "float32" } as const;
  const plan = native().planMemory(config, options, { ...nothing, trainTokens: 100, slots: 8, promptTokens: 10, newTokens: 6 });
  // 3 layers, 8 slots and one for rows that fill up, 2 heads, 16 entries of 16 keys and 32 values of 2 bytes
  expect(plan.cache).toBe(3 * 9 * 2 * 16 * (16 + 32) * 2);
  expect(plan.rounded * 2).toBeLessThan(plan.weights);
  expect(() => native().planMemory(config, options, { ...nothing, slots: -1 })).toThrow("slots must be an integer from 0");
});
