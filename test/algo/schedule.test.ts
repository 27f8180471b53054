import { describe, expect, test } from "bun:test";
import { learningRate, type ScheduleOptions } from "../../ts/algo/schedule.ts";

const BASE: ScheduleOptions = { lr: 2, warmupSteps: 4, decay: "linear", finalLrRatio: 0.1, steps: 14 };

describe("learningRate", () => {
  test("warms up linearly and never starts at 0", () => {
    expect([0, 1, 2, 3].map((step) => learningRate(step, BASE))).toEqual([0.5, 1, 1.5, 2]);
  });

  const ends: [ScheduleOptions["decay"], number, number, number][] = [
    ["constant", 2, 2, 2],
    ["linear", 2, 2 * (0.1 + 0.9 * (4 / 9)), 0.2],
    ["cosine", 2, 2 * (0.1 + 0.9 * 0.5 * (1 + Math.cos((Math.PI * 5) / 9))), 0.2],
  ];
  for (const [decay, first, middle, last] of ends) {
    test(`${decay}: peak after warm-up, its share at the last step, no further fall after it`, () => {
      const at = (step: number) => learningRate(step, { ...BASE, decay });
      expect(at(4)).toBeCloseTo(first, 12);
      expect(at(9)).toBeCloseTo(middle, 12);
      expect(at(13)).toBeCloseTo(last, 12);
      expect(at(20)).toBeCloseTo(last, 12);
    });
  }

  test("a run of one step has the peak rate", () => {
    expect(learningRate(0, { ...BASE, warmupSteps: 0, steps: 1 })).toBe(2);
  });
});
