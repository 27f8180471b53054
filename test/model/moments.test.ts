// A model trained with bfloat16 moments: it learns what it learns with float32 ones, and repeats itself.
import { expect, test } from "bun:test";
import type { Model, ModelOptions } from "../../ts/model.ts";
import { errorOf } from "../support/compare.ts";
import { nll, pack, randomModel, randomRows, readAll, TINY } from "../support/models.ts";
import { Random } from "../support/random.ts";

const batches = Array.from({ length: 4 }, (_, i) => pack(randomRows(new Random(i), [15, 9, 22], TINY.vocabSize)));

async function train(options: ModelOptions, steps: number): Promise<{ losses: number[]; model: Model }> {
  const model = await randomModel(TINY, options);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    await model.forwardBackward(batches[step % batches.length], (scores) => {
      const { loss, ...gradients } = nll(scores);
      losses.push(loss);
      return gradients;
    });
    await model.step({ lr: 3e-3, betas: [0.9, 0.999] });
  }
  return { losses, model };
}

test("the loss falls as with float32 moments", async () => {
  const [half, whole] = [await train({ moments: "bfloat16" }, 300), await train({}, 300)];
  const last = ({ losses }: { losses: number[] }) => losses.slice(-4).reduce((sum, x) => sum + x, 0) / 4;
  expect(last(whole)).toBeLessThan(0.2 * whole.losses[0]);
  expect(Math.abs(last(half) / last(whole) - 1)).toBeLessThan(0.1);
  for (const { model } of [half, whole]) model.close();
});

test("equal runs are equal, bit for bit, and a copy keeps the type of the moments", async () => {
  const [a, b] = [await train({ moments: "bfloat16" }, 5), await train({ moments: "bfloat16" }, 5)];
  expect(await readAll(a.model, "value")).toEqual(await readAll(b.model, "value"));
  using copy = await a.model.clone();
  await copy.forwardBackward(batches[0], nll);
  await copy.step({ lr: 1e-3 });
  const { gradients, optimizer } = copy.native.memoryBytes();
  expect(optimizer).toBe(gradients); // two times two bytes beside four
  for (const { model } of [a, b]) model.close();
});

test("another name for the type is refused", async () => {
  expect((await errorOf(() => randomModel(TINY, { moments: "float16" as never }))).message).toContain('moments must be "float32" or "bfloat16"');
});
