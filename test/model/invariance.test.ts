// Packing: no row sees another, and neither order, company, splitting nor the number of threads changes a result.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Model } from "../../ts/model.ts";
import { native } from "../../ts/native/addon.ts";
import { expectClose, expectIdentical } from "../support/compare.ts";
import { pack, randomModel, randomRows, rowOf, TINY } from "../support/models.ts";
import { Random } from "../support/random.ts";

setDefaultTimeout(60_000); // test machines are busy

const LENGTHS = [9, 1, 33, 0, 2, 17, 64];
const rows = randomRows(new Random(4), LENGTHS, TINY.vocabSize);

describe("packing", () => {
  test("each row alone gives what it gives in company", async () => {
    using model = await randomModel();
    const together = await model.logprobs(pack(rows));
    for (let i = 0; i < rows.length; i++) expectClose((await model.logprobs(pack([rows[i]]))).logprobs, rowOf(together, i), 1e-6, `row ${i}`);
  });

  test("the order of rows does not matter", async () => {
    using model = await randomModel();
    const forward = await model.logprobs(pack(rows));
    const order = [3, 6, 0, 5, 1, 4, 2];
    const permuted = await model.logprobs(pack(order.map((i) => rows[i])));
    for (const [at, i] of order.entries()) expectClose(rowOf(permuted, at), rowOf(forward, i), 1e-6, `row ${i}`);
  });

  test("a token depends on the tokens before it only", async () => {
    using model = await randomModel();
    const before = await model.logprobs(pack(rows));
    const changed = rows.map((row) => row.slice());
    changed[2][20] = (changed[2][20] + 1) % TINY.vocabSize;
    const after = await model.logprobs(pack(changed));
    expectIdentical(rowOf(after, 2).slice(0, 19), rowOf(before, 2).slice(0, 19), "tokens before the change");
    expect(rowOf(after, 2)[19]).not.toBe(rowOf(before, 2)[19]);
    expect(rowOf(after, 2)[25]).not.toBe(rowOf(before, 2)[25]);
    for (const i of [0, 5, 6]) expectIdentical(rowOf(after, i), rowOf(before, i), `row ${i}`);
  });

  test("the same call twice is bit-identical", async () => {
    using model = await randomModel();
    const first = await model.logprobs(pack(rows));
    const second = await model.logprobs(pack(rows));
    expectIdentical(second.logprobs, first.logprobs);
    expectIdentical(second.entropy, first.entropy);
  });

  test("the number of threads changes nothing beyond 1e-6", async () => {
    using model = await randomModel();
    const before = native().info().threads;
    const scores = await model.logprobs(pack(rows));
    try {
      for (const threads of [1, 3]) {
        native().setThreads(threads);
        expectClose((await model.logprobs(pack(rows))).logprobs, scores.logprobs, 1e-6, `${threads} threads`);
      }
    } finally {
      native().setThreads(before);
    }
  });
});

describe("rows of every length", () => {
  test("prompt lengths say which tokens are scored", async () => {
    using model = await randomModel();
    const all = await model.logprobs(pack(rows));
    const prompts = [3, 1, 33, 0, 2, 16, 1];
    const some = await model.logprobs(pack(rows, prompts));
    expect(Array.from(some.offsets)).toEqual([0, 6, 6, 6, 6, 6, 7, 70]);
    for (const i of [0, 5, 6]) expectClose(rowOf(some, i), rowOf(all, i).slice(prompts[i] - 1), 1e-6, `row ${i}`);
  });

  test("one-token and empty rows are scored as nothing", async () => {
    using model = await randomModel();
    const scores = await model.logprobs(pack([rows[1], rows[3], rows[1]]));
    expect(Array.from(scores.offsets)).toEqual([0, 0, 0, 0]);
    expect(scores.logprobs.length).toBe(0);
  });

  test("log-probs are those of the logits", async () => {
    using model = await randomModel();
    const batch = pack(rows);
    const logits = await model.native.logits(batch.tokens, batch.offsets);
    const scores = await model.logprobs(batch, { temperature: 0.6 });
    for (let i = 0; i < rows.length; i++) expectClose(rowOf(scores, i), oracle(logits, batch.offsets[i], rows[i], 0.6), 1e-5, `row ${i}`);
  });

  // 600 crosses every block size of attention, of the fused head and of the matrix products; the prefixes leave tails of them.
  test("long rows agree with short ones at every block boundary", async () => {
    using model = await randomModel();
    const long = randomRows(new Random(5), [600], TINY.vocabSize)[0];
    const whole = rowOf(await model.logprobs(pack([long])), 0);
    const lengths = [15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 599];
    const prefixes = await model.logprobs(pack(lengths.map((n) => long.subarray(0, n))));
    for (const [i, n] of lengths.entries()) expectClose(rowOf(prefixes, i), whole.subarray(0, n - 1), 2e-5, `prefix of ${n}`);
  });

  test("the gradient of a long row is the slope of its log-probs", async () => {
    using model = await randomModel();
    const batch = pack(randomRows(new Random(6), [300, 5], TINY.vocabSize));
    const name = "model.layers.0.self_attn.q_proj.weight";
    await model.forwardBackward(batch, (scores) => ({ dLogprobs: new Float32Array(scores.logprobs.length).fill(1) }));
    const gradient = await model.native.readParameter(name, "gradient");
    expect(await slopeAlongGradient(model, name, gradient, batch)).toBeCloseTo(1, 2);
  });
});

/** Log-probs of a row's tokens after the first, from its logits, in float64. */
function oracle(logits: Float32Array, begin: number, row: Int32Array, temperature: number): number[] {
  const V = TINY.vocabSize;
  return Array.from(row.subarray(1), (target, t) => {
    const z = Array.from(logits.subarray((begin + t) * V, (begin + t + 1) * V), (x) => x / temperature);
    const top = Math.max(...z);
    return z[target] - top - Math.log(z.reduce((sum, x) => sum + Math.exp(x - top), 0));
  });
}

/** (f(w + h g) - f(w - h g)) / (2 h |g|²) of the sum of log-probs: 1 where g is the gradient. */
async function slopeAlongGradient(model: Model, name: string, gradient: Float32Array, batch: ReturnType<typeof pack>): Promise<number> {
  const value = await model.native.readParameter(name, "value");
  const squares = gradient.reduce((sum, g) => sum + g * g, 0);
  const h = 0.01 / Math.sqrt(squares);
  const at = async (t: number) => {
    await model.native.writeParameter(
      name,
      value.map((x, i) => x + t * gradient[i]),
    );
    return (await model.logprobs(batch)).logprobs.reduce((sum, x) => sum + x, 0);
  };
  return ((await at(h)) - (await at(-h))) / (2 * h * squares);
}
