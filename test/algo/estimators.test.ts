import { describe, expect, test } from "bun:test";
import {
  type AdvantageInput,
  type AdvantageOptions,
  type Algorithm,
  algorithms,
  grpo,
  implicitValue,
  leaveOneOut,
  reinforce,
} from "../../ts/algo/estimators.ts";
import { expectClose } from "../support/compare.ts";
import { Random } from "../support/random.ts";

const PLAIN: AdvantageOptions = {
  gammaProcess: 1,
  gammaOutcome: 1,
  processCoef: 1,
  outcomeCoef: 1,
  baseline: "leave-one-out",
  normalizeProcess: "none",
  whiten: false,
};

/** Two groups of three rows of 1-5 tokens with random rewards. */
function randomInput(seed: number): AdvantageInput & { process: NonNullable<AdvantageInput["process"]> } {
  const random = new Random(seed);
  const lengths = Array.from({ length: 6 }, () => random.integer(1, 6));
  const offsets = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))]);
  const rewards = Float32Array.from({ length: offsets[6] }, () => random.normal());
  return {
    outcome: Float32Array.from({ length: 6 }, () => random.integer(0, 2)),
    offsets,
    groupSize: 3,
    process: { rewards, values: Float32Array.from({ length: offsets[6] }, () => random.uniform()) },
  };
}

describe("leaveOneOut", () => {
  test("outcome only: every token of a row gets its outcome minus the mean of the others'", () => {
    const offsets = Int32Array.of(0, 2, 3, 6, 7);
    const advantages = leaveOneOut({ outcome: Float32Array.of(1, 0, 0, 1), offsets, groupSize: 2 }, PLAIN);
    expectClose(advantages, [1, 1, -1, -1, -1, -1, 1], 1e-6);
  });

  test("Eq. 5: process rewards minus the mean of the other rows' token means, summed backwards", () => {
    const offsets = Int32Array.of(0, 2, 5);
    const process = { rewards: Float32Array.of(1, 3, 0, 0, 6), values: new Float32Array(5) };
    const advantages = leaveOneOut({ outcome: Float32Array.of(0, 0), offsets, groupSize: 2, process }, PLAIN);
    // token means are 2 and 2: r - 2 is [-1, 1] and [-2, -2, 4]
    expectClose(advantages, [0, 1, 0, 2, 4], 1e-6);
  });

  test("a coefficient scales its source", () => {
    const input = randomInput(3);
    const both = leaveOneOut(input, { ...PLAIN, processCoef: 0.5, outcomeCoef: 2 });
    const outcome = leaveOneOut({ ...input, process: undefined }, PLAIN);
    const process = leaveOneOut({ ...input, outcome: new Float32Array(6) }, PLAIN);
    expectClose(
      both,
      outcome.map((x, t) => 2 * x + 0.5 * process[t]),
      1e-5,
    );
  });
});

describe("reinforce", () => {
  test("discounted returns of both sources, no baseline", () => {
    const offsets = Int32Array.of(0, 3);
    const process = { rewards: Float32Array.of(1, 2, 4), values: new Float32Array(3) };
    const o = { ...PLAIN, gammaProcess: 0.5, gammaOutcome: 0.1, processCoef: 10 };
    const advantages = reinforce({ outcome: Float32Array.of(1), offsets, groupSize: 1, process }, o);
    expectClose(advantages, [0.01 + 10 * (1 + 0.5 * (2 + 0.5 * 4)), 0.1 + 10 * (2 + 0.5 * 4), 1 + 10 * 4], 1e-5);
  });
});

describe("grpo", () => {
  test("outcomes become z-scores of their group (unbiased deviation)", () => {
    const offsets = Int32Array.of(0, 1, 3, 4);
    const advantages = grpo({ outcome: Float32Array.of(1, 0, 0), offsets, groupSize: 3 }, PLAIN);
    const deviation = Math.sqrt((4 / 9 + 1 / 9 + 1 / 9) / 2);
    expectClose(advantages, [2 / 3 / deviation, -1 / 3 / deviation, -1 / 3 / deviation, -1 / 3 / deviation], 1e-6);
  });

  test("a group of equal outcomes has no advantage, not NaN", () => {
    expectClose(grpo({ outcome: Float32Array.of(1, 1), offsets: Int32Array.of(0, 1, 2), groupSize: 2 }, PLAIN), [0, 0], 0);
  });

  test("process rewards are standardised by the moments of the rows' token means", () => {
    const offsets = Int32Array.of(0, 2, 3);
    const process = { rewards: Float32Array.of(1, 3, 6), values: new Float32Array(3) };
    const advantages = grpo({ outcome: new Float32Array(2), offsets, groupSize: 2, process }, PLAIN);
    const deviation = Math.sqrt(8); // of the token means 2 and 6 about 4
    expectClose(advantages, [(1 - 4 + 3 - 4) / deviation, (3 - 4) / deviation, (6 - 4) / deviation], 1e-6);
  });
});

describe("implicitValue", () => {
  test("without discount the first token's advantage is the outcome minus one half: the values telescope", () => {
    const input = randomInput(5);
    const advantages = implicitValue(input, PLAIN);
    for (let row = 0; row < 6; row++) expect(advantages[input.offsets[row]]).toBeCloseTo(input.outcome[row] - 0.5, 6);
  });

  test("with gammaProcess 0 each token gets the change of the value it made", () => {
    const process = { rewards: new Float32Array(3), values: Float32Array.of(0.6, 0.1, 0.7) };
    const advantages = implicitValue({ outcome: Float32Array.of(1), offsets: Int32Array.of(0, 3), groupSize: 1, process }, { ...PLAIN, gammaProcess: 0 });
    expectClose(advantages, [0.1, -0.5, 0.9], 1e-6);
  });
});

describe("every algorithm", () => {
  for (const name of Object.keys(algorithms) as Algorithm[]) {
    const { advantages, process } = algorithms[name];
    const run = (input: AdvantageInput, o = PLAIN) => advantages(process ? input : { ...input, process: undefined }, o);

    test(`${name}: one finite advantage per token, also in an empty row's group`, () => {
      const input = randomInput(7);
      expect(run(input)).toHaveLength(input.offsets[6]);
      const offsets = Int32Array.of(0, 0, 2, 3);
      const short = {
        outcome: Float32Array.of(1, 0, 1),
        offsets,
        groupSize: 3,
        process: { rewards: Float32Array.of(1, 2, 3), values: Float32Array.of(0.1, 0.2, 0.3) },
      };
      expect(Array.from(run(short)).every(Number.isFinite)).toBe(true);
    });

    test(`${name}: swapping two groups swaps their advantages`, () => {
      const input = randomInput(11);
      const middle = input.offsets[3];
      const swap = (values: Float32Array, at: number) => Float32Array.of(...values.subarray(at), ...values.subarray(0, at));
      const lengths = Array.from({ length: 6 }, (_, i) => input.offsets[i + 1] - input.offsets[i]);
      const order = [3, 4, 5, 0, 1, 2];
      const offsets = Int32Array.from([0, ...order.map((_, i) => order.slice(0, i + 1).reduce((sum, row) => sum + lengths[row], 0))]);
      const swapped = {
        ...input,
        offsets,
        outcome: swap(input.outcome, 3),
        process: { rewards: swap(input.process.rewards, middle), values: swap(input.process.values, middle) },
      };
      expectClose(run(swapped), swap(run(input), middle), 1e-5);
    });

    test(`${name}: whitened advantages have mean 0 and variance 1`, () => {
      const values = run(randomInput(13), { ...PLAIN, whiten: true });
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      expect(mean).toBeCloseTo(0, 5);
      expect(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values.length - 1)).toBeCloseTo(1, 4);
    });
  }
});
