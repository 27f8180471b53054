import { afterAll, describe, expect, test } from "bun:test";
import { type PpoClipLossOptions, ppoClipLoss, ppoClipLossAsync } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { ppoReference } from "../reference/losses.ts";
import { atOddOffset, expectClose, finiteDifferences, offsetsFrom, Random, sameBits } from "../reference/random.ts";

const random = new Random(5);
afterAll(() => native().setThreads(0));
const AGGREGATES = ["token-mean", "sequence-mean", "sequence-sum-mean"] as const;
const LENGTHS = [5, 1, 0, 17, 8, 16, 40, 0];

function makeCase(lengths: number[] = LENGTHS, spread = 0.4) {
  const offsets = offsetsFrom(lengths);
  const n = offsets[lengths.length];
  const oldLogprobs = random.logprobs(n);
  const near = () => oldLogprobs.map((x) => x + spread * random.normal());
  return { logprobs: near(), oldLogprobs, refLogprobs: near(), advantages: random.normals(n), entropy: random.logprobs(n).map((x) => -x), offsets };
}

function expectAgreement(c: PpoClipLossOptions, tolerance = 1e-5): void {
  const wanted = ppoReference(c as never);
  const got = ppoClipLoss(c);
  const scale = Math.max(1e-3, ...Array.from(c.advantages, Math.abs));
  expect(Math.abs(got.loss - wanted.loss)).toBeLessThanOrEqual(tolerance * Math.max(scale, Math.abs(wanted.loss)));
  expect(got.clipFraction).toBeCloseTo(wanted.clipFraction, 12);
  expectClose([got.approxKl], [wanted.approxKl], tolerance);
  expectClose([got.ratioMax], [wanted.ratioMax], tolerance);
  if (got.kl !== undefined) expectClose([got.kl], [wanted.kl], tolerance);
}

function expectGradient(c: PpoClipLossOptions): void {
  const logprobs = Float64Array.from(c.logprobs);
  const got = ppoClipLoss({
    ...c,
    logprobs,
    oldLogprobs: Float64Array.from(c.oldLogprobs),
    ...(c.refLogprobs ? { refLogprobs: Float64Array.from(c.refLogprobs) } : {}),
  });
  expectClose(
    got.dLogprobs,
    finiteDifferences(() => ppoReference({ ...(c as object), logprobs } as never).loss, logprobs, 1e-6),
    1e-5,
  );
  if (c.entropy) {
    const entropy = Float64Array.from(c.entropy);
    expectClose(
      got.dEntropy as Float32Array,
      finiteDifferences(() => ppoReference({ ...(c as object), entropy } as never).loss, entropy, 1e-4),
      1e-5,
    );
  }
}

describe("ppoClipLoss", () => {
  for (const aggregate of AGGREGATES) {
    for (const extra of [
      {},
      { clipLow: 0.1, clipHigh: 0.3, dualClip: 1.5 },
      { entropyCoef: 0.01, klCoef: 0.1 },
      { klCoef: -0.5, dualClip: 1, normalizer: 37 },
    ]) {
      test(`agrees with float64 and finite differences: ${aggregate} ${JSON.stringify(extra)}`, () => {
        const c = { ...makeCase(), aggregate, ...extra };
        expectAgreement(c);
        expectGradient(c);
      });
    }
  }

  test("many tokens, over several pieces of work", () => {
    for (const aggregate of AGGREGATES) expectAgreement({ ...makeCase([20000, 7, 13000, 0, 1]), aggregate, klCoef: 0.1 });
  });

  test("on the policy that sampled: ratio 1, gradient -A/N, nothing clipped", () => {
    const { oldLogprobs, advantages, offsets } = makeCase();
    const got = ppoClipLoss({ logprobs: oldLogprobs, oldLogprobs, advantages, offsets });
    expectClose(
      got.dLogprobs,
      advantages.map((a) => -a / advantages.length),
      1e-6,
    );
    expect([got.clipFraction, got.approxKl, got.ratioMax]).toEqual([0, 0, 1]);
  });

  test("a small KL is exact: k3 of 1e-4 and 1e-2", () => {
    for (const d of [1e-4, 1e-2, -0.3, 0.49, 0.51, 3, -7]) {
      const got = ppoClipLoss({
        logprobs: Float64Array.of(-1),
        oldLogprobs: Float64Array.of(-1),
        refLogprobs: Float64Array.of(-1 + d),
        advantages: Float32Array.of(0),
        offsets: Int32Array.of(0, 1),
        klCoef: 1,
      });
      expect(Math.abs(got.loss / (Math.expm1(d) - d) - 1)).toBeLessThan(1e-5);
      expect(Math.abs(got.dLogprobs[0] / -Math.expm1(d) - 1)).toBeLessThan(1e-5);
    }
  });

  test("log-ratios of 1e3 and infinities: clamped to 20, no gradient, never NaN", () => {
    const logprobs = Float32Array.of(0, -1e3, -Infinity, -Infinity, -1, -1);
    const oldLogprobs = Float32Array.of(-1e3, 0, -Infinity, -1, -Infinity, -1);
    const c = { logprobs, oldLogprobs, advantages: Float32Array.of(-1, 1, 1, -1, 1, 2), offsets: Int32Array.of(0, 6), refLogprobs: oldLogprobs, klCoef: 0.1 };
    const got = ppoClipLoss(c);
    expect(Number.isFinite(got.loss) && Number.isFinite(got.approxKl) && Number.isFinite(got.kl as number)).toBe(true);
    expectClose([got.ratioMax], [Math.exp(20)], 1e-5);
    expectClose(got.dLogprobs, [0, 0, -1 / 6, 0, 0, -2 / 6], 1e-6);
    expectAgreement(c);
  });

  test("clip fraction is strict: a ratio inside, and a clipped term that is not larger, do not count", () => {
    const oldLogprobs = new Float32Array(4).fill(-2);
    const logprobs = Float32Array.of(-2, -2 + Math.log(1.5), -2 + Math.log(1.5), -2 + Math.log(0.5));
    const got = ppoClipLoss({ logprobs, oldLogprobs, advantages: Float32Array.of(1, 1, -1, -1), offsets: Int32Array.of(0, 4) });
    expect(got.clipFraction).toBe(0.5);
    expect(Array.from(got.dLogprobs, (x) => x !== 0)).toEqual([true, false, true, false]);
  });

  test("one token; no tokens; empty rows count as rows", () => {
    expectAgreement(makeCase([1]));
    const empty = new Float32Array(0);
    for (const offsets of [Int32Array.of(0), Int32Array.of(0, 0, 0)]) {
      const got = ppoClipLoss({ logprobs: empty, oldLogprobs: empty, advantages: empty, offsets });
      expect([got.loss, got.clipFraction, got.approxKl, got.ratioMax]).toEqual([0, 0, 0, 0]);
    }
    const one = { logprobs: Float32Array.of(-1), oldLogprobs: Float32Array.of(-1), advantages: Float32Array.of(1), aggregate: "sequence-mean" as const };
    expect(ppoClipLoss({ ...one, offsets: Int32Array.of(0, 1, 1) }).loss).toBe(-0.5);
  });

  test("NaN shows in the loss", () => {
    const c = makeCase([4]);
    c.logprobs[2] = NaN;
    expect(ppoClipLoss(c).loss).toBeNaN();
  });

  test("micro-batches with the whole batch's normalizer add up to it", () => {
    for (const aggregate of AGGREGATES) {
      const c = makeCase();
      const whole = ppoClipLoss({ ...c, aggregate });
      const normalizer = aggregate === "token-mean" ? c.logprobs.length : LENGTHS.length;
      let loss = 0;
      for (const [first, end] of [
        [0, 3],
        [3, 8],
      ]) {
        const [a, b] = [c.offsets[first], c.offsets[end]];
        const cut = (x: Float32Array) => x.subarray(a, b);
        const part = ppoClipLoss({
          logprobs: cut(c.logprobs),
          oldLogprobs: cut(c.oldLogprobs),
          advantages: cut(c.advantages),
          offsets: c.offsets.slice(first, end + 1).map((o) => o - a),
          aggregate,
          normalizer,
        });
        loss += part.loss;
        expectClose(part.dLogprobs, whole.dLogprobs.subarray(a, b), 1e-6);
      }
      expectClose([loss], [whole.loss], 1e-6);
    }
  });

  test("the same bits with another number of threads, from shared and oddly placed memory, and later", async () => {
    const c = { ...makeCase([9000, 500, 0, 12000]), klCoef: 0.1, entropyCoef: 0.1 };
    const first = ppoClipLoss(c);
    native().setThreads(1);
    const again = ppoClipLoss({
      ...c,
      logprobs: atOddOffset(c.logprobs, true),
      oldLogprobs: atOddOffset(c.oldLogprobs),
      out: { dLogprobs: atOddOffset(new Float32Array(c.logprobs.length), true) },
    });
    native().setThreads(0);
    const later = await ppoClipLossAsync(c);
    for (const other of [again, later]) {
      expect(sameBits(other.dLogprobs, first.dLogprobs) && sameBits(other.dEntropy as Float32Array, first.dEntropy as Float32Array)).toBe(true);
      expect([other.loss, other.clipFraction, other.approxKl, other.ratioMax, other.kl]).toEqual([
        first.loss,
        first.clipFraction,
        first.approxKl,
        first.ratioMax,
        first.kl,
      ]);
    }
  });

  test("a coefficient without its input is refused", () => {
    const { entropy: _, refLogprobs: __, ...c } = makeCase();
    expect(() => ppoClipLoss({ ...c, entropyCoef: 0.1 })).toThrow("entropy must be given");
    expect(() => ppoClipLoss({ ...c, klCoef: 0.1 })).toThrow("refLogprobs must be given");
    expect(() => ppoClipLoss({ ...c, clipLow: NaN })).toThrow("clipLow");
    expect(() => ppoClipLoss({ ...c, klCoeff: 1 } as never)).toThrow("options.klCoeff");
  });
});
