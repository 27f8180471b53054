import { afterAll, describe, expect, test } from "bun:test";
import { implicitRewards, implicitRewardsAsync, stepRewards, stepRewardsAsync } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { atOddOffset, expectClose, offsetsFrom, Random, sameBits } from "../reference/random.ts";
import { implicitRewardsReference, stepRewardsReference } from "../reference/rewards.ts";

const random = new Random(3);
afterAll(() => native().setThreads(0));

describe("implicitRewards", () => {
  for (const lengths of [[1], [0], [], [5, 0, 1, 17, 8, 16, 0], Array.from({ length: 300 }, (_, i) => (i * 37) % 111), [20000, 3]]) {
    test(`agrees with float64: ${lengths.length} rows, ${lengths.reduce((a, b) => a + b, 0)} tokens`, () => {
      const offsets = offsetsFrom(lengths);
      const n = offsets[lengths.length];
      const [prm, ref] = [random.logprobs(n), random.logprobs(n)];
      const wanted = implicitRewardsReference(prm, ref, offsets, 0.05);
      const got = implicitRewards(prm, ref, offsets, { beta: 0.05 });
      expectClose(got.rewards, wanted.rewards, 1e-6);
      expectClose(got.q, wanted.q, 1e-6);
      expectClose(got.scores, wanted.scores, 1e-6);
    });
  }

  test("float64 log-probs whose difference float32 would lose", () => {
    const ref = Float64Array.from({ length: 50 }, () => -100 * random.next());
    const prm = ref.map((x) => x + 1e-9 * random.normal());
    const offsets = offsetsFrom([20, 30]);
    const wanted = implicitRewardsReference(prm, ref, offsets, 2);
    const got = implicitRewards(prm, ref, offsets, { beta: 2 });
    expectClose(got.q, wanted.q, 1e-6);
    expectClose(got.scores, wanted.scores, 1e-6);
  });

  test("log-ratios of 1e3, and infinities: the same on both sides is 0, one-sided is infinite, never NaN", () => {
    const prm = Float32Array.of(0, -1e3, -Infinity, -Infinity, -1, -1);
    const ref = Float32Array.of(-1e3, 0, -Infinity, -1, -Infinity, -1);
    const { rewards, scores, q } = implicitRewards(prm, ref, Int32Array.of(0, 3, 4, 6), { beta: 1 });
    expect(Array.from(rewards)).toEqual([1e3, -1e3, 0, -Infinity, Infinity, 0]);
    expect(Array.from(scores)).toEqual([0, -Infinity, Infinity]);
    expect(Array.from(q)).toEqual([1e3, 0, 0, -Infinity, Infinity, Infinity]);
  });

  test("order of rows, splitting and threads change nothing; the same bits again, shared, oddly placed, later", async () => {
    const offsets = random.offsets(200, 0, 300);
    const n = offsets[200];
    const [prm, ref] = [random.logprobs(n), random.logprobs(n)];
    const first = implicitRewards(prm, ref, offsets, { beta: 0.1 });
    const row = implicitRewards(prm.subarray(offsets[77], offsets[78]), ref.subarray(offsets[77], offsets[78]), Int32Array.of(0, offsets[78] - offsets[77]), {
      beta: 0.1,
    });
    expect(sameBits(row.q, first.q.subarray(offsets[77], offsets[78])) && row.scores[0] === first.scores[77]).toBe(true);
    native().setThreads(1);
    const out = { q: atOddOffset(new Float32Array(n), true) };
    const again = implicitRewards(atOddOffset(prm, true), atOddOffset(ref), atOddOffset(offsets), { beta: 0.1, out });
    native().setThreads(0);
    const later = await implicitRewardsAsync(prm, ref, offsets, { beta: 0.1 });
    for (const other of [again, later])
      expect(sameBits(other.q, first.q) && sameBits(other.rewards, first.rewards) && sameBits(other.scores, first.scores)).toBe(true);
    expect(again.q).toBe(out.q);
  });
});

describe("stepRewards", () => {
  test("agrees with the definition, with rows without steps", async () => {
    const offsets = offsetsFrom([5, 0, 7, 3]);
    const q = random.normals(15);
    const stepEnds = Int32Array.of(1, 2, 4, 6, 0);
    const stepOffsets = Int32Array.of(0, 3, 3, 4, 5);
    const wanted = stepRewardsReference(q, offsets, stepEnds, stepOffsets);
    for (const got of [stepRewards(q, offsets, stepEnds, stepOffsets), await stepRewardsAsync(q, offsets, stepEnds, stepOffsets)]) {
      expectClose(got.cumulative, wanted.cumulative, 1e-6);
      expectClose(got.perStep, wanted.perStep, 1e-6);
    }
  });

  test("the steps of a row add up to its last step's q", () => {
    const q = random.normals(1000);
    const stepEnds = Int32Array.from({ length: 10 }, (_, s) => 100 * s + 99);
    const { perStep } = stepRewards(q, Int32Array.of(0, 1000), stepEnds, Int32Array.of(0, 10));
    expect(perStep.reduce((a, b) => a + b)).toBeCloseTo(q[999], 5);
  });

  test("an end outside its row, or not after the one before, is refused by name", () => {
    const offsets = Int32Array.of(0, 3, 6);
    expect(() => stepRewards(new Float32Array(6), offsets, Int32Array.of(3), Int32Array.of(0, 1, 1))).toThrow("stepEnds[0]");
    expect(() => stepRewards(new Float32Array(6), offsets, Int32Array.of(1, 1), Int32Array.of(0, 2, 2))).toThrow("stepEnds[1]");
  });
});
