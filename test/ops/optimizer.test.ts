import { describe, expect, test } from "bun:test";
import { adamw } from "../reference/layers.ts";
import { Random } from "../support/random.ts";
import { expectNear, ops, toBfloat16 } from "./support.ts";

describe("adamw", () => {
  for (const n of [0, 1, 31, 127, 20000]) {
    test(`${n} parameters, the first step and a late one, with and without decay and clipping`, async () => {
      const random = new Random(n);
      const params = random.normals(n);
      const grads = random.normals(n);
      for (const [step, weightDecay, gradScale] of [
        [1, 0, 1],
        [1, 0.1, 0.25],
        [1000, 0.1, 1],
      ]) {
        const settings = { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay, step, gradScale };
        const m = step === 1 ? new Float32Array(n) : random.normals(n, 0.1);
        const v = step === 1 ? new Float32Array(n) : random.normals(n).map((x) => 0.01 + x * x);
        const result = await ops.adamw({ n, ...settings, params, grads, m, v });
        const expected = Array.from(params, (p, i) => adamw(p, grads[i], m[i], v[i], settings));
        const column = (key: "p" | "m" | "v") => expected.map((e) => e[key]);
        expectNear(result.params, column("p"), 1e-6, "params");
        expectNear(result.m, column("m"), 1e-6, "m");
        expectNear(result.v, column("v"), 2e-6, "v");
        expect(result.paramsCast).toEqual(toBfloat16(result.params));
      }
    });
  }

  test("a gradient of zero moves nothing but the decay", async () => {
    const params = Float32Array.of(2, -3);
    const zeros = new Float32Array(2);
    const { params: after } = await ops.adamw({
      n: 2,
      lr: 0.1,
      beta1: 0.9,
      beta2: 0.999,
      eps: 1e-8,
      weightDecay: 0.5,
      step: 1,
      gradScale: 1,
      params,
      grads: zeros,
      m: zeros,
      v: zeros,
    });
    expectNear(after, [1.9, -2.85], 1e-6, "params");
  });
});

describe("squaredNorm", () => {
  test("sums in float64", async () => {
    for (const n of [0, 1, 127, 100000]) {
      const values = new Random(n).normals(n);
      const expected = values.reduce((sum, x) => sum + x * x, 0);
      expect(Math.abs((await ops.squaredNorm({ n, values })).sum[0] - expected)).toBeLessThanOrEqual(1e-7 * expected);
    }
  });

  test("lets non-finite values through", async () => {
    expect((await ops.squaredNorm({ n: 3, values: Float32Array.of(1, Number.NaN, 2) })).sum[0]).toBeNaN();
    expect((await ops.squaredNorm({ n: 3, values: Float32Array.of(1, Number.NEGATIVE_INFINITY, 2) })).sum[0]).toBe(Number.POSITIVE_INFINITY);
  });
});
