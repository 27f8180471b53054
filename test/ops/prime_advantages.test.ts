import { afterAll, describe, expect, test } from "bun:test";
import { primeAdvantages, primeAdvantagesAsync } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { atOddOffset, expectClose, offsetsFrom, Random, sameBits } from "../reference/random.ts";
import { primeAdvantagesReference } from "../reference/rewards.ts";

const random = new Random(4);
afterAll(() => native().setThreads(0));

function makeCase(lengths: number[], groupSize: number) {
  const offsets = offsetsFrom(lengths);
  return {
    processRewards: random.normals(offsets[lengths.length], 0.05, 0.01),
    outcomeRewards: Float32Array.from(lengths, () => random.integer(0, 1)),
    offsets,
    groupOffsets: Int32Array.from({ length: lengths.length / groupSize + 1 }, (_, p) => p * groupSize),
  };
}
const LENGTHS = [5, 1, 0, 17, 8, 16, 7, 33, 0, 0, 2, 9];

describe("primeAdvantages", () => {
  for (const baseline of ["leave-one-out", "released"] as const) {
    for (const normalizeProcess of ["none", "batch"] as const) {
      for (const settings of [{}, { gammaProcess: 0.9, gammaOutcome: 0.97, processCoef: 5, outcomeCoef: 0.5 }, { gammaProcess: 0, gammaOutcome: 0 }]) {
        test(`agrees with float64: ${baseline}, normalize ${normalizeProcess}, ${JSON.stringify(settings)}`, () => {
          for (const whiten of [true, false]) {
            const c = { ...makeCase(LENGTHS, 4), baseline, normalizeProcess, whiten, ...settings };
            const wanted = primeAdvantagesReference(c);
            const got = primeAdvantages(c);
            expectClose(got.returns, wanted.returns, 1e-6);
            expectClose(got.advantages, wanted.advantages, 1e-5);
          }
        });
      }
    }
  }

  test("a realistic batch: 64 prompts x 4 rollouts", () => {
    const c = makeCase(
      Array.from({ length: 256 }, () => random.integer(1, 700)),
      4,
    );
    expectClose(primeAdvantages(c).advantages, primeAdvantagesReference(c).advantages, 1e-5);
  });

  test("groups of different sizes, one of them without rows; groupSize says the same as groupOffsets", () => {
    const c = { ...makeCase([3, 4, 5, 6, 7, 8], 2), groupOffsets: Int32Array.of(0, 2, 2, 6) };
    expectClose(primeAdvantages(c).advantages, primeAdvantagesReference(c).advantages, 1e-5);
    const { groupOffsets, ...rest } = makeCase(LENGTHS, 3);
    expect(sameBits(primeAdvantages({ ...rest, groupSize: 3 }).advantages, primeAdvantages({ ...rest, groupOffsets }).advantages)).toBe(true);
  });

  test("one source alone; coefficient 0 leaves a source out even when it holds NaN", () => {
    const { processRewards, outcomeRewards, ...rest } = makeCase(LENGTHS, 4);
    for (const c of [
      { ...rest, processRewards },
      { ...rest, outcomeRewards },
    ])
      expectClose(primeAdvantages(c).advantages, primeAdvantagesReference(c).advantages, 1e-5);
    const without = primeAdvantages({ ...rest, outcomeRewards });
    const broken = primeAdvantages({ ...rest, outcomeRewards, processRewards: processRewards.map(() => NaN), processCoef: 0 });
    expect(sameBits(broken.advantages, without.advantages)).toBe(true);
  });

  test("an empty row has no tokens, but its outcome counts in its group's baseline", () => {
    const c = { outcomeRewards: Float32Array.of(1, 1), offsets: Int32Array.of(0, 2, 2), groupSize: 2, whiten: false };
    expect(Array.from(primeAdvantages(c).returns)).toEqual([0, 0]);
    expect(Array.from(primeAdvantages({ ...c, outcomeRewards: Float32Array.of(1, 0) }).returns)).toEqual([1, 1]);
    const process = { processRewards: Float32Array.of(1, 3), offsets: Int32Array.of(0, 2, 2), groupSize: 2, whiten: false };
    expect(Array.from(primeAdvantages(process).returns)).toEqual([4, 3]);
  });

  test("equal outcomes in a group: exactly 0 before whitening; nothing but such groups: 0 after it", () => {
    const c = { outcomeRewards: Float32Array.of(1, 1, 1, 0.3, 0.3, 0.3), offsets: offsetsFrom([3, 4, 5, 2, 1, 9]), groupSize: 3 };
    const { advantages, returns } = primeAdvantages(c);
    expect([...returns, ...advantages].every((x) => Math.abs(x) < 1e-7)).toBe(true);
    expect(returns.subarray(0, 12).every((x) => x === 0)).toBe(true);
  });

  test("the last token (EOS) carries its process reward", () => {
    const { returns } = primeAdvantages({ processRewards: Float32Array.of(0, 0, 7, 0, 0, 0), offsets: Int32Array.of(0, 3, 6), groupSize: 2, whiten: false });
    expectClose(
      returns,
      [7, 7, 7, -7, -14 / 3, -7 / 3].map((x, t) => (t < 3 ? x : (-7 / 3) * (6 - t))),
      1e-6,
    );
  });

  test("whitened advantages have mean 0 and unbiased variance 1; one token, and no tokens", () => {
    const { advantages } = primeAdvantages(makeCase(LENGTHS, 4));
    const mean = advantages.reduce((a, b) => a + b, 0) / advantages.length;
    expect(mean).toBeCloseTo(0, 5);
    expect(advantages.reduce((a, b) => a + (b - mean) ** 2, 0) / (advantages.length - 1)).toBeCloseTo(1, 4);
    expect(Array.from(primeAdvantages({ processRewards: Float32Array.of(3), offsets: Int32Array.of(0, 1, 1), groupSize: 2 }).advantages)).toEqual([0]);
    expect(primeAdvantages({ outcomeRewards: Float32Array.of(1, 0), offsets: Int32Array.of(0, 0, 0), groupSize: 2 }).advantages.length).toBe(0);
    expect(primeAdvantages({ outcomeRewards: new Float32Array(0), offsets: Int32Array.of(0), groupSize: 2 }).advantages.length).toBe(0);
  });

  test("a group of one is refused, saying why", () => {
    const c = { outcomeRewards: Float32Array.of(1, 1), offsets: Int32Array.of(0, 1, 2) };
    expect(() => primeAdvantages({ ...c, groupSize: 1 })).toThrow(/groupSize must be at least 2 .*mean of the other rollouts.* but got 1/);
    expect(() => primeAdvantages({ ...c, groupOffsets: Int32Array.of(0, 1, 2) })).toThrow(/group 0 must be at least 2/);
  });

  test("the order of the groups, and of the rows in a group, changes nothing beyond rounding", () => {
    const lengths = [4, 9, 2, 31, 5, 6];
    const c = makeCase(lengths, 3);
    const order = [4, 5, 3, 2, 0, 1]; // groups swapped, rows permuted within
    const offsets = offsetsFrom(order.map((row) => lengths[row]));
    const processRewards = new Float32Array(c.processRewards.length);
    for (const [k, row] of order.entries()) processRewards.set(c.processRewards.subarray(c.offsets[row], c.offsets[row + 1]), offsets[k]);
    const moved = primeAdvantages({ ...c, offsets, processRewards, outcomeRewards: Float32Array.from(order, (row) => c.outcomeRewards[row]) });
    const base = primeAdvantages(c);
    for (const [k, row] of order.entries()) {
      expectClose(moved.advantages.subarray(offsets[k], offsets[k + 1]), base.advantages.subarray(c.offsets[row], c.offsets[row + 1]), 1e-6);
    }
  });

  test("splitting a batch by prompts changes no unwhitened return", () => {
    const c = { ...makeCase(LENGTHS, 4), whiten: false };
    const whole = primeAdvantages(c).returns;
    const at = c.offsets[4];
    const { groupOffsets: _, ...rest } = c;
    const tail = primeAdvantages({
      ...rest,
      groupSize: 4,
      offsets: c.offsets.slice(4).map((o) => o - at),
      processRewards: c.processRewards.subarray(at),
      outcomeRewards: c.outcomeRewards.subarray(4),
    });
    expect(sameBits(tail.returns, whole.subarray(at))).toBe(true);
  });

  test("the same bits with another number of threads, from shared and oddly placed memory, and later", async () => {
    const c = makeCase(
      Array.from({ length: 400 }, () => random.integer(0, 200)),
      4,
    );
    const first = primeAdvantages(c);
    native().setThreads(1);
    const again = primeAdvantages({
      ...c,
      processRewards: atOddOffset(c.processRewards, true),
      offsets: atOddOffset(c.offsets),
      out: { advantages: atOddOffset(new Float32Array(c.processRewards.length), true) },
    });
    native().setThreads(0);
    const later = await primeAdvantagesAsync(c);
    for (const other of [again, later]) expect(sameBits(other.advantages, first.advantages) && sameBits(other.returns, first.returns)).toBe(true);
  });
});
