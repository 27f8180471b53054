import { afterAll, describe, expect, test } from "bun:test";
import { prmCrossEntropyLoss, prmCrossEntropyLossAsync, prmDpoLoss, prmDpoLossAsync } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { crossEntropyReference, dpoReference } from "../reference/losses.ts";
import { atOddOffset, expectClose, finiteDifferences, offsetsFrom, Random, sameBits } from "../reference/random.ts";

const random = new Random(6);
afterAll(() => native().setThreads(0));
const LENGTHS = [5, 1, 0, 17, 8, 16, 40, 9];

function makeCase(lengths = LENGTHS) {
  const offsets = offsetsFrom(lengths);
  const refLogprobs = Float64Array.from(random.logprobs(offsets[lengths.length]));
  return {
    prmLogprobs: refLogprobs.map((x) => x + random.normal()),
    refLogprobs,
    offsets,
    labels: Float32Array.from(lengths, (_, i) => [1, 0, 0, 1, 0.3, 1, 0.6, 0][i % 8]),
    beta: 0.2,
  };
}

describe("prmCrossEntropyLoss", () => {
  test("agrees with float64 and finite differences, soft labels and an empty row included", () => {
    const c = makeCase();
    const wanted = crossEntropyReference(c.prmLogprobs, c.refLogprobs, c.offsets, c.labels, c.beta);
    const got = prmCrossEntropyLoss(c);
    expectClose([got.loss], [wanted.loss], 1e-6);
    expectClose(got.probabilities, wanted.probabilities, 1e-6);
    expect(got.accuracy).toBe(wanted.accuracy);
    const differences = finiteDifferences(() => crossEntropyReference(c.prmLogprobs, c.refLogprobs, c.offsets, c.labels, c.beta).loss, c.prmLogprobs);
    expectClose(got.dLogprobs, differences, 1e-5);
  });

  test("float32 log-probs", () => {
    const c = makeCase();
    const narrow = { ...c, prmLogprobs: Float32Array.from(c.prmLogprobs), refLogprobs: Float32Array.from(c.refLogprobs) };
    expectClose([prmCrossEntropyLoss(narrow).loss], [crossEntropyReference(narrow.prmLogprobs, narrow.refLogprobs, c.offsets, c.labels, c.beta).loss], 1e-6);
  });

  test("log-ratios of 1e3: the loss is exact, not clamped, and still has its gradient; infinities never give NaN", () => {
    const c = {
      prmLogprobs: Float32Array.of(-1e3, 0),
      refLogprobs: Float32Array.of(0, -1e3),
      offsets: Int32Array.of(0, 1, 2),
      labels: Float32Array.of(1, 1),
      beta: 1,
    };
    const got = prmCrossEntropyLoss(c);
    expect(got.loss).toBe(500);
    expectClose(got.dLogprobs, [-0.5, 0], 1e-6);
    const infinite = { ...c, prmLogprobs: Float32Array.of(-Infinity, -1), refLogprobs: Float32Array.of(-Infinity, -Infinity) };
    const result = prmCrossEntropyLoss(infinite);
    expectClose([result.loss], [Math.log(2) / 2], 1e-6);
    expect(result.dLogprobs.some(Number.isNaN)).toBe(false);
    expect(prmCrossEntropyLoss({ ...infinite, labels: Float32Array.of(0, 0) }).loss).toBe(Infinity);
  });

  test("one row; no rows; rows without tokens", () => {
    const empty = new Float32Array(0);
    expect(prmCrossEntropyLoss({ prmLogprobs: empty, refLogprobs: empty, offsets: Int32Array.of(0), labels: empty, beta: 1 }).loss).toBe(0);
    const got = prmCrossEntropyLoss({ prmLogprobs: empty, refLogprobs: empty, offsets: Int32Array.of(0, 0), labels: Float32Array.of(1), beta: 1 });
    expectClose([got.loss], [Math.log(2)], 1e-6);
    expect(prmCrossEntropyLoss(makeCase([3])).dLogprobs.length).toBe(3);
  });

  test("micro-batches with the whole batch's normalizer add up; the same bits with other threads, memory, and later", async () => {
    const c = makeCase(Array.from({ length: 120 }, () => random.integer(0, 400)));
    const first = prmCrossEntropyLoss(c);
    let loss = 0;
    for (const [from, end] of [
      [0, 50],
      [50, 120],
    ]) {
      const [a, b] = [c.offsets[from], c.offsets[end]];
      const part = {
        ...c,
        prmLogprobs: c.prmLogprobs.subarray(a, b),
        refLogprobs: c.refLogprobs.subarray(a, b),
        offsets: c.offsets.slice(from, end + 1).map((o) => o - a),
        labels: c.labels.subarray(from, end),
        normalizer: 120,
      };
      loss += prmCrossEntropyLoss(part).loss;
    }
    expectClose([loss], [first.loss], 1e-9);
    native().setThreads(1);
    const again = prmCrossEntropyLoss({ ...c, prmLogprobs: atOddOffset(c.prmLogprobs, true), labels: atOddOffset(c.labels) });
    native().setThreads(0);
    const later = await prmCrossEntropyLossAsync(c);
    for (const other of [again, later]) expect(other.loss === first.loss && sameBits(other.dLogprobs, first.dLogprobs)).toBe(true);
  });

  test("labels outside 0..1 are refused", () => {
    const c = makeCase();
    c.labels[3] = 1.5;
    expect(() => prmCrossEntropyLoss(c)).toThrow("labels[3]");
    c.labels[3] = NaN;
    expect(() => prmCrossEntropyLoss(c)).toThrow("labels[3]");
  });
});

describe("prmDpoLoss", () => {
  for (const groupOffsets of [Int32Array.of(0, 4, 8), Int32Array.of(0, 1, 1, 8)]) {
    test(`agrees with float64 and finite differences, groups at ${groupOffsets}`, () => {
      const c = { ...makeCase(), groupOffsets };
      const got = prmDpoLoss(c);
      expectClose([got.loss], [dpoReference(c.prmLogprobs, c.refLogprobs, c.offsets, c.labels, groupOffsets, c.beta)], 1e-6);
      const detached = Float64Array.from({ length: LENGTHS.length }, (_, i) => {
        let sum = 0;
        for (let t = c.offsets[i]; t < c.offsets[i + 1]; t++) sum += c.prmLogprobs[t] - c.refLogprobs[t];
        return c.beta * sum;
      });
      const objective = () => dpoReference(c.prmLogprobs, c.refLogprobs, c.offsets, c.labels, groupOffsets, c.beta, detached);
      expectClose(got.dLogprobs, finiteDifferences(objective, c.prmLogprobs), 1e-5);
      const groupScores = Float32Array.from(random.normals(LENGTHS.length));
      expectClose(
        [prmDpoLoss({ ...c, groupScores }).loss],
        [dpoReference(c.prmLogprobs, c.refLogprobs, c.offsets, c.labels, groupOffsets, c.beta, groupScores)],
        1e-6,
      );
    });
  }

  test("identical labels in a group: no opponent, threshold 0", () => {
    const c = { ...makeCase([3, 4]), labels: Float32Array.of(1, 1), groupSize: 2 };
    expectClose([prmDpoLoss(c).loss], [crossEntropyReference(c.prmLogprobs, c.refLogprobs, c.offsets, c.labels, c.beta).loss], 1e-6);
  });

  test("infinite scores never give NaN; no rows", () => {
    const c = {
      prmLogprobs: Float32Array.of(-Infinity, -Infinity),
      refLogprobs: Float32Array.of(-1, -1),
      offsets: Int32Array.of(0, 1, 2),
      labels: Float32Array.of(1, 0),
      groupSize: 2,
      beta: 1,
    };
    const got = prmDpoLoss(c);
    expect(got.loss).toBeCloseTo(Math.log(2), 6);
    expect(got.dLogprobs.some(Number.isNaN)).toBe(false);
    const empty = new Float32Array(0);
    expect(prmDpoLoss({ prmLogprobs: empty, refLogprobs: empty, offsets: Int32Array.of(0), labels: empty, groupSize: 2, beta: 1 }).loss).toBe(0);
  });

  test("the order of the rows in a group changes nothing; the same bits later", async () => {
    const c = { ...makeCase([4, 4, 4, 4]), labels: Float32Array.of(1, 0, 0.5, 0), groupSize: 4 };
    const order = [2, 0, 3, 1];
    const gather = (x: Float64Array) => Float64Array.from(order.flatMap((row) => [...x.subarray(4 * row, 4 * row + 4)]));
    const moved = prmDpoLoss({
      ...c,
      prmLogprobs: gather(c.prmLogprobs),
      refLogprobs: gather(c.refLogprobs),
      labels: Float32Array.from(order, (row) => c.labels[row]),
    });
    const first = prmDpoLoss(c);
    expectClose([moved.loss], [first.loss], 1e-9);
    const later = await prmDpoLossAsync(c);
    expect(later.loss === first.loss && sameBits(later.dLogprobs, first.dLogprobs)).toBe(true);
  });
});
