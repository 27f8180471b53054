// Gradients against finite differences of a random loss, and what must not change them: recomputation, splitting a batch, compute type.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Batch, Model, Qwen2Config } from "../../ts/model.ts";
import { expectClose, expectIdentical, expectRelative, relativeError } from "../support/compare.ts";
import { linearLoss, nll, pack, parameterShape, randomModel, randomRows, readAll, TINY } from "../support/models.ts";
import { Random } from "../support/random.ts";

setDefaultTimeout(60_000); // test machines are busy

const LENGTHS = [7, 1, 12, 0, 4];
const PROMPTS = [2, 1, 5, 0, 1];
const SCORED = 5 + 0 + 7 + 0 + 3;

function batchOf(config: Qwen2Config, seed = 3): Batch {
  return pack(randomRows(new Random(seed), LENGTHS, config.vocabSize), PROMPTS);
}

/** Directions in which a parameter is moved: twice its gradient with random elements removed, twice plain noise; unit length. */
function directions(gradient: Float32Array, random: Random): Float32Array[] {
  const masked = () => gradient.map((g) => (random.uniform() < 0.5 ? g : 0));
  return [masked(), masked(), random.normals(gradient.length), random.normals(gradient.length)].map((d) => {
    const norm = Math.sqrt(d.reduce((sum, x) => sum + x * x, 0));
    return d.map((x) => x / (norm || 1));
  });
}

/** The derivative of `loss` along `direction` by the fourth-order central difference. */
async function slope(model: Model, name: string, value: Float32Array, direction: Float32Array, h: number, loss: () => Promise<number>): Promise<number> {
  const at = async (t: number) => {
    await model.native.writeParameter(
      name,
      value.map((x, i) => x + t * direction[i]),
    );
    return loss();
  };
  const near = (await at(h)) - (await at(-h));
  const far = (await at(2 * h)) - (await at(-2 * h));
  await model.native.writeParameter(name, value);
  return (8 * near - far) / (12 * h);
}

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const norm = (a: Float32Array) => Math.sqrt(dot(a, a));

describe("finite differences", () => {
  const cases: [string, Partial<Qwen2Config>, number][] = [
    ["untied head, grouped queries", {}, 1],
    ["tied head, temperature 0.8", { tieWordEmbeddings: true }, 0.8],
    ["one key/value head per query head", { numKeyValueHeads: 4, headDim: 16 }, 1],
    ["one key/value head for all", { numAttentionHeads: 7, numKeyValueHeads: 1, headDim: 6 }, 1],
  ];
  for (const [title, changes, temperature] of cases) {
    test(title, async () => {
      const config = { ...TINY, ...changes };
      using model = await randomModel(config, {}, 5);
      const batch = batchOf(config);
      const random = new Random(8);
      const weights = random.normals(SCORED);
      const entropyWeights = random.normals(SCORED);
      const loss = async () => linearLoss(await model.logprobs(batch, { temperature }), weights, entropyWeights);
      await model.forwardBackward(batch, () => ({ dLogprobs: weights, dEntropy: entropyWeights }), { temperature });
      const gradients = await readAll(model, "gradient");
      const values = await readAll(model, "value");
      for (const [name, gradient] of gradients) {
        const value = values.get(name) as Float32Array;
        for (const direction of directions(gradient, random)) {
          const measured = await slope(model, name, value, direction, 0.01, loss);
          const error = Math.abs(measured - dot(gradient, direction));
          if (!(error <= 3e-3 * norm(gradient) + 1e-3))
            throw new Error(`${name}: slope ${measured}, gradient ${dot(gradient, direction)} (norm ${norm(gradient)})`);
        }
      }
      expect(gradients.size).toBeGreaterThan(0);
    });
  }
});

describe("what leaves gradients alone", () => {
  test("recomputing activations: the same gradients", async () => {
    using plain = await randomModel(TINY, {}, 6);
    using recomputing = await randomModel(TINY, { recompute: true }, 6);
    const batch = batchOf(TINY);
    await plain.forwardBackward(batch, nll);
    await recomputing.forwardBackward(batch, nll);
    const expected = await readAll(plain, "gradient");
    for (const [name, gradient] of await readAll(recomputing, "gradient")) expectClose(gradient, expected.get(name) as Float32Array, 1e-6, name);
  });

  test("micro-batches add up to the whole batch", async () => {
    using whole = await randomModel(TINY, {}, 6);
    using split = await randomModel(TINY, {}, 6);
    const rows = randomRows(new Random(3), LENGTHS, TINY.vocabSize);
    await whole.forwardBackward(pack(rows, PROMPTS), nll);
    for (const part of [[0, 1], [2], [3, 4]]) {
      await split.forwardBackward(
        pack(
          part.map((i) => rows[i]),
          part.map((i) => PROMPTS[i]),
        ),
        (scores) => nll(scores, SCORED),
      );
    }
    const expected = await readAll(whole, "gradient");
    for (const [name, gradient] of await readAll(split, "gradient")) expectClose(gradient, expected.get(name) as Float32Array, 1e-6, name);
  });

  test("the order of rows", async () => {
    using model = await randomModel(TINY, {}, 6);
    using other = await randomModel(TINY, {}, 6);
    const rows = randomRows(new Random(3), LENGTHS, TINY.vocabSize);
    await model.forwardBackward(pack(rows, PROMPTS), nll);
    await other.forwardBackward(pack(rows.toReversed(), PROMPTS.toReversed()), nll);
    const expected = await readAll(model, "gradient");
    for (const [name, gradient] of await readAll(other, "gradient")) expectClose(gradient, expected.get(name) as Float32Array, 1e-6, name);
  });

  test("two runs of the same steps are bit-identical", async () => {
    const run = async () => {
      using model = await randomModel(TINY, {}, 6);
      for (let i = 0; i < 3; i++) {
        await model.forwardBackward(batchOf(TINY, i), nll);
        await model.step({ lr: 1e-2, weightDecay: 0.1 });
      }
      return await readAll(model, "value");
    };
    const first = await run();
    for (const [name, values] of await run()) expectIdentical(values, first.get(name) as Float32Array, name);
  });
});

describe("bfloat16 compute", () => {
  // bfloat16 keeps 8 bits: each rounding errs by up to 2^-9 = 0.2 %, and a two-layer model chains some ten of them.
  test("log-probs within 0.1 and gradients within 5 % of float32", async () => {
    using exact = await randomModel(TINY, {}, 6);
    using rounded = await randomModel(TINY, { dtype: "bfloat16" }, 6);
    const batch = batchOf(TINY);
    const expected = await exact.forwardBackward(batch, nll);
    const scores = await rounded.forwardBackward(batch, nll);
    expectClose(scores.logprobs, expected.logprobs, 0.1, "logprobs");
    expect(relativeError(scores.logprobs, expected.logprobs)).toBeLessThan(0.02);
    expect(relativeError(scores.logprobs, expected.logprobs)).toBeGreaterThan(0); // it did compute in bfloat16
    const gradients = await readAll(exact, "gradient");
    for (const [name, gradient] of await readAll(rounded, "gradient")) {
      expect({ name, error: Math.min(1, relativeError(gradient, gradients.get(name) as Float32Array)) < 0.05 }).toEqual({ name, error: true });
    }
  });

  test("its masters stay float32: a step smaller than bfloat16 resolves is kept", async () => {
    using model = await randomModel(TINY, { dtype: "bfloat16" }, 6);
    const name = "model.norm.weight";
    const before = await model.native.readParameter(name, "value");
    await model.forwardBackward(batchOf(TINY), nll);
    await model.step({ lr: 1e-5 });
    const after = await model.native.readParameter(name, "value");
    const moved = after.map((x, i) => Math.abs(x - before[i]));
    expect(Math.max(...moved)).toBeGreaterThan(5e-6);
    expect(Math.max(...moved)).toBeLessThan(2e-5);
  });
});

describe("AdamW", () => {
  test("the first step is lr * sign(gradient), with decay on matrices only", async () => {
    using model = await randomModel(TINY, {}, 6);
    const values = await readAll(model, "value");
    await model.forwardBackward(batchOf(TINY), nll);
    const gradients = await readAll(model, "gradient");
    await model.step({ lr: 0.01, weightDecay: 0.5, gradClip: 0 });
    for (const [name, after] of await readAll(model, "value")) {
      const before = values.get(name) as Float32Array;
      const gradient = gradients.get(name) as Float32Array;
      const decay = parameterShape(model, name).length === 2 ? 0.01 * 0.5 : 0;
      const expected = before.map((x, i) => x * (1 - decay) - (0.01 * gradient[i]) / (Math.abs(gradient[i]) + 1e-8));
      expectClose(after, expected, 2e-6, name);
    }
  });

  test("gradients are zero after a step, and gradNorm is that before clipping", async () => {
    using model = await randomModel(TINY, {}, 6);
    await model.forwardBackward(batchOf(TINY), nll);
    let squares = 0;
    for (const gradient of (await readAll(model, "gradient")).values()) squares += gradient.reduce((sum, g) => sum + g * g, 0);
    const { gradNorm } = await model.step({ lr: 0, gradClip: 1e-3 });
    expect(Math.abs(gradNorm - Math.sqrt(squares))).toBeLessThan(1e-5 * gradNorm);
    for (const [name, gradient] of await readAll(model, "gradient")) expect({ name, zero: gradient.every((g) => g === 0) }).toEqual({ name, zero: true });
  });

  test("a non-finite gradient skips the step and changes nothing", async () => {
    using model = await randomModel(TINY, {}, 6);
    const before = await readAll(model, "value");
    await model.forwardBackward(batchOf(TINY), (scores) => ({ dLogprobs: new Float32Array(scores.logprobs.length).fill(Number.POSITIVE_INFINITY) }));
    const { skipped, gradNorm } = await model.step({ lr: 0.1 });
    expect(skipped).toBe(true);
    expect(Number.isFinite(gradNorm)).toBe(false);
    for (const [name, values] of await readAll(model, "value")) expectIdentical(values, before.get(name) as Float32Array, name);
    await model.forwardBackward(batchOf(TINY), nll);
    expect((await model.step({ lr: 0.1 })).skipped).toBe(false);
  });

  test("training lowers the loss of a fixed batch", async () => {
    using model = await randomModel(TINY, {}, 6);
    const batch = batchOf(TINY);
    const first = nll(await model.logprobs(batch)).loss;
    for (let i = 0; i < 40; i++) {
      await model.forwardBackward(batch, nll);
      await model.step({ lr: 1e-2 });
    }
    expect(nll(await model.logprobs(batch)).loss).toBeLessThan(0.1 * first);
  });
});

test("expectRelative itself notices one wrong element", () => {
  const values = new Random(1).normals(100);
  expect(() => expectRelative(values, values.with(50, values[50] + 0.01), 1e-4)).toThrow("relative error");
});
