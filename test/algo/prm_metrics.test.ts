// Quality of scores and the loss on steps, against their definitions.
import { expect, test } from "bun:test";
import { prmLosses } from "../../ts/algo/prm_losses.ts";
import { areaUnderCurve, calibrationError, scoreMargin, scoreQuality } from "../../ts/algo/prm_metrics.ts";
import { prmStepLoss } from "../../ts/algo/prm_steps.ts";
import { Random } from "../support/random.ts";

test("AUC is the share of right-wrong pairs in order, ties half", () => {
  const random = new Random(3);
  for (let round = 0; round < 50; round++) {
    const n = random.integer(2, 40);
    const scores = Array.from({ length: n }, () => random.integer(0, 8));
    const labels = Array.from({ length: n }, () => random.integer(0, 2));
    let [won, pairs] = [0, 0];
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        if (labels[i] !== 1 || labels[j] !== 0) continue;
        pairs++;
        won += scores[i] > scores[j] ? 1 : scores[i] === scores[j] ? 0.5 : 0;
      }
    }
    const auc = areaUnderCurve(scores, labels);
    if (pairs === 0) expect(auc).toBeUndefined();
    else expect(auc).toBeCloseTo(won / pairs, 12);
  }
  expect(areaUnderCurve([1, Number.NaN], [1, 0])).toBeUndefined();
});

test("calibration error and margin", () => {
  expect(calibrationError([0.05, 0.05, 0.95, 0.95], [0, 0, 1, 0])).toBeCloseTo(0.5 * 0.05 + 0.5 * 0.45, 12);
  expect(calibrationError([1, 0], [1, 0])).toBe(0);
  expect(calibrationError([], [])).toBeUndefined();
  expect(scoreMargin([3, 1, -1], [1, 1, 0])).toBe(3);
  expect(scoreMargin([3], [1])).toBeUndefined();
  expect(scoreQuality([2, -1, 0], [1, 0, 0])).toMatchObject({ accuracy: 2.5 / 3, auc: 1, margin: 2.5 });
});

/** Three rows of 4, 1 and 3 tokens; three labelled steps in the first, none in the second, one in the third. */
function stepInput() {
  const random = new Random(5);
  return {
    prmLogprobs: random.normals(8),
    refLogprobs: random.normals(8),
    offsets: Int32Array.of(0, 4, 5, 8),
    stepEnds: Int32Array.of(0, 2, 3, 1),
    stepOffsets: Int32Array.of(0, 3, 3, 4),
    labels: Float32Array.of(1, 0.25, 0, 1),
    beta: 0.7,
  };
}

test("the loss on steps is the mean cross entropy of Q at the ends", () => {
  const { prmLogprobs, refLogprobs, ...input } = stepInput();
  const q = (row: number, end: number) => {
    let sum = 0;
    for (let t = input.offsets[row]; t <= input.offsets[row] + end; t++) sum += 0.7 * (prmLogprobs[t] - refLogprobs[t]);
    return sum;
  };
  const bce = (x: number, label: number) => -label * Math.log(1 / (1 + Math.exp(-x))) - (1 - label) * Math.log(1 - 1 / (1 + Math.exp(-x)));
  const first = (bce(q(0, 0), 1) + bce(q(0, 2), 0.25) + bce(q(0, 3), 0)) / 3;
  const result = prmStepLoss({ prmLogprobs, refLogprobs, ...input });
  expect(result.loss).toBeCloseTo((first + 0 + bce(q(2, 1), 1)) / 3, 5);
  expect(result.q[1]).toBeCloseTo(q(0, 2), 5);
  expect(prmStepLoss({ prmLogprobs, refLogprobs, ...input, normalizer: 6 }).loss).toBeCloseTo(result.loss / 2, 6);
});

test("its gradient is that of finite differences", () => {
  const input = stepInput();
  const { dLogprobs } = prmStepLoss(input);
  const step = 1e-2;
  input.prmLogprobs.forEach((value, t) => {
    const at = (x: number) => prmStepLoss({ ...input, prmLogprobs: input.prmLogprobs.map((old, i) => (i === t ? x : old)) }).loss;
    expect(Math.abs((at(value + step) - at(value - step)) / (2 * step) - dLogprobs[t])).toBeLessThan(2e-4);
  });
  expect(Array.from(dLogprobs.subarray(4, 5))).toEqual([0]); // no labelled step
  expect(dLogprobs[7]).toBe(0); // behind the last labelled step
});

test("one label at the last token is the loss on the whole answer", () => {
  const { prmLogprobs, refLogprobs, offsets, beta } = stepInput();
  const labels = Float32Array.of(1, 0, 0.5);
  const whole = prmLosses.ce.loss({ prmLogprobs, refLogprobs, offsets, labels, beta }, 3);
  const steps = prmStepLoss({ prmLogprobs, refLogprobs, offsets, beta, labels, stepEnds: Int32Array.of(3, 0, 2), stepOffsets: Int32Array.of(0, 1, 2, 3) });
  expect(steps.loss).toBeCloseTo(whole.loss, 6);
  for (const [t, g] of steps.dLogprobs.entries()) expect(g).toBeCloseTo(whole.dLogprobs[t], 6);
});

test("steps out of order, outside their row, or with impossible labels are refused", () => {
  const input = stepInput();
  expect(() => prmStepLoss({ ...input, stepEnds: Int32Array.of(2, 2, 3, 1) })).toThrow("stepEnds[0] must be a position of row 0 below 2");
  expect(() => prmStepLoss({ ...input, stepEnds: Int32Array.of(0, 2, 4, 1) })).toThrow("stepEnds[2] must be a position of row 0 below 4");
  expect(() => prmStepLoss({ ...input, labels: Float32Array.of(1, 0, 2, 1) })).toThrow("labels[2] must be a number from 0 to 1");
  expect(prmStepLoss({ ...input, prmLogprobs: input.prmLogprobs.map(() => Number.NaN) }).loss).toBeNaN();
});
