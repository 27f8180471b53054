// AdamW with bfloat16 moments against a float64 AdamW over hundreds of steps: what rounding by chance keeps, and what rounding to nearest would lose.
import { expect, test } from "bun:test";
import { adamw } from "../reference/layers.ts";
import { Random } from "../support/random.ts";
import { ops, toBfloat16 } from "./support.ts";

const n = 1024;
const steps = 1500;
const settings = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, gradScale: 1 };

interface Optimizer {
  params: Float32Array;
  m: Float32Array;
  v: Float32Array;
}
type Step = (o: Optimizer, grads: Float32Array, step: number) => Promise<Optimizer>;

/** What a training run looks like: gradients of sizes from 1e-4 to 1, part signal and part noise, a tenth as large after the first fifth. */
function* gradients(): Generator<Float32Array> {
  const random = new Random(7);
  const size = Float32Array.from({ length: n }, (_, i) => 10 ** (-4 * (i / n)));
  const signal = random.normals(n, 0.5);
  for (let step = 1; step <= steps; step++) yield signal.map((mean, i) => size[i] * (mean + random.normal()) * (step <= steps / 5 ? 1 : 0.1));
}

const start = (): Optimizer => ({ params: new Random(1).normals(n), m: new Float32Array(n), v: new Float32Array(n) });

async function train(step: Step): Promise<Optimizer> {
  let o = start();
  let count = 0;
  for (const grads of gradients()) o = await step(o, grads, ++count);
  return o;
}

const native =
  (bfloat16Moments: boolean): Step =>
  async ({ params, m, v }, grads, step) =>
    ops.adamw({ n, ...settings, step, params, grads, m, v, bfloat16Moments });

/** The same, with moments rounded to the nearest bfloat16 after each step. */
const naive: Step = async (o, grads, step) => {
  const { params, m, v } = await native(false)(o, grads, step);
  return { params, m: toBfloat16(m), v: toBfloat16(v) };
};

function oracle(): { p: Float64Array; v: Float64Array } {
  const { params } = start();
  const state = Array.from(params, (p) => ({ p, m: 0, v: 0 }));
  let step = 0;
  for (const grads of gradients()) {
    step++;
    for (let i = 0; i < n; i++) state[i] = adamw(state[i].p, grads[i], state[i].m, state[i].v, { ...settings, step });
  }
  return { p: Float64Array.from(state, ({ p }) => p), v: Float64Array.from(state, ({ v }) => v) };
}

const exact = oracle();
const began = start().params;

/** Distance from where the exact trajectory ends, as a share of its length. */
function deviation({ params }: Optimizer): number {
  let [off, way] = [0, 0];
  for (let i = 0; i < n; i++) {
    off += (params[i] - exact.p[i]) ** 2;
    way += (exact.p[i] - began[i]) ** 2;
  }
  return Math.sqrt(off / way);
}

/** Mean over the elements of the second moment as a share of the exact one. */
const secondMoment = ({ v }: Optimizer) => v.reduce((sum, x, i) => sum + x / exact.v[i], 0) / n;

test(`after ${steps} steps bfloat16 moments have led where float64 ones do; rounded to nearest they would not have`, async () => {
  const [byChance, toNearest, float32] = [await train(native(true)), await train(naive), await train(native(false))];
  expect(deviation(float32)).toBeLessThan(2e-4);
  expect(deviation(byChance)).toBeLessThan(0.02); // 0.012
  expect(deviation(toNearest)).toBeGreaterThan(0.1); // 0.121
  expect(Math.abs(secondMoment(byChance) - 1)).toBeLessThan(0.01);
  expect(secondMoment(toNearest)).toBeGreaterThan(1.5); // it never comes down
});

test("moments are bfloat16, one of the two neighbours of the exact value, the nearer one more often", async () => {
  const random = new Random(3);
  const size = 4096;
  const [params, grads, m] = [random.normals(size), random.normals(size), toBfloat16(random.normals(size, 0.1))];
  const v = toBfloat16(random.normals(size).map((x) => x * x));
  const options = { n: size, ...settings, step: 5, params, grads, m, v };
  const [rounded, whole] = [await ops.adamw({ ...options, bfloat16Moments: true }), await ops.adamw(options)];
  expect(rounded.params).toEqual(whole.params); // the step itself is taken with moments as they are before they are rounded
  for (const name of ["m", "v"] as const) {
    expect(rounded[name]).toEqual(toBfloat16(rounded[name]));
    let [up, share] = [0, 0];
    for (let i = 0; i < size; i++) {
      const low = new Float32Array(Uint32Array.of(new Uint32Array(whole[name].buffer)[i] & 0xffff0000).buffer)[0];
      const high = new Float32Array(Uint32Array.of((new Uint32Array(whole[name].buffer)[i] & 0xffff0000) + 0x10000).buffer)[0];
      expect([low, high]).toContain(rounded[name][i]);
      up += rounded[name][i] === high ? 1 : 0;
      share += (whole[name][i] - low) / (high - low);
    }
    expect(Math.abs(up - share)).toBeLessThan(4 * Math.sqrt(size / 4)); // four standard deviations
  }
});

test("draws are counted by step and place: the same call gives the same bits, another step or place others", async () => {
  const random = new Random(4);
  const [params, grads, zeros] = [random.normals(64), random.normals(64), new Float32Array(64)];
  const call = async (step: number, first: number) =>
    (await ops.adamw({ n: 64, ...settings, beta1: 0, beta2: 0, step, first, params, grads, m: zeros, v: zeros, bfloat16Moments: true })).v;
  expect(await call(1, 0)).toEqual(await call(1, 0));
  expect(await call(2, 0)).not.toEqual(await call(1, 0));
  expect(await call(1, 64)).not.toEqual(await call(1, 0));
});

test("zero stays zero, and what is not finite is not hidden", async () => {
  const grads = Float32Array.of(0, Number.NaN, Number.POSITIVE_INFINITY, 0);
  const zeros = new Float32Array(4);
  const { m, v } = await ops.adamw({ n: 4, ...settings, step: 1, params: zeros, grads, m: zeros, v: zeros, bfloat16Moments: true });
  expect(Array.from(m)).toEqual([0, Number.NaN, Number.POSITIVE_INFINITY, 0]);
  expect(Array.from(v)).toEqual([0, Number.NaN, Number.POSITIVE_INFINITY, 0]);
});
