// The PRM's and the policy's updates on a real, tiny model.
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { updatePolicy } from "../../ts/algo/policy.ts";
import { type PrmLoss, prmLosses, trainPrm } from "../../ts/algo/prm.ts";
import type { Model } from "../../ts/model.ts";
import { responseOffsets } from "../../ts/rollout/pack.ts";
import { scoreRows } from "../../ts/rollout/score.ts";
import type { Row } from "../../ts/rollout/types.ts";
import { expectClose, maxDifference } from "../support/compare.ts";
import { Random } from "../support/random.ts";
import { tinyModel, weightsOf } from "../support/tasks.ts";

setDefaultTimeout(60_000);
const models: Model[] = [];
afterEach(() => {
  for (const model of models.splice(0)) model.close();
});

async function makeModel(): Promise<Model> {
  const model = await tinyModel(3);
  models.push(model);
  return model;
}

/** 12 rows in groups of 3, with prompts of 1-3 and responses of 1-7 tokens. */
function randomRows(seed: number): Row[] {
  const random = new Random(seed);
  return Array.from({ length: 12 }, () => ({ prompt: random.integers(random.integer(1, 4), 0, 39), response: random.integers(random.integer(1, 8), 0, 39) }));
}

const noSkips = () => ({ total: 0, inARow: 0 });
const LABELS = Float32Array.of(1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1);

const PRM = {
  prmLoss: "ce" as PrmLoss,
  prmBeta: 0.5,
  prmLr: 1e-2,
  prmWeightDecay: 0,
  prmGradClip: 10,
  prmEpochs: 1,
  prmMinibatches: 1,
  maxTokensPerBatch: 1000,
  maxSkippedUpdates: 3,
};

/** What the loss of one answer is multiplied by in all: 1 for means; the Best-of-N losses are sums, each answer weighted by n * (share of its group it beats)^(n-1). */
function totalWeight(prmLoss: PrmLoss): number {
  if (!prmLoss.startsWith("bon")) return 1;
  const n = 3;
  const share = (i: number) => {
    const group = LABELS.slice(n * Math.floor(i / n), n * Math.floor(i / n) + n);
    return prmLoss === "bon_rm" ? 1 : group.filter((label) => label <= LABELS[i]).length / n; // where all scores are equal, each is no less than all
  };
  return Array.from(LABELS, (_, i) => n * share(i) ** (n - 1)).reduce((sum, x) => sum + x, 0);
}

describe("trainPrm", () => {
  for (const prmLoss of Object.keys(prmLosses) as PrmLoss[]) {
    test(`${prmLoss}: starts at ln 2 where PRM and reference agree, and learns the labels`, async () => {
      const prm = await makeModel();
      const rows = randomRows(1);
      const reference = await scoreRows(prm, rows, PRM);
      const data = { rows, labels: LABELS, reference, groupSize: 3 };
      const first = await trainPrm(prm, data, { ...PRM, prmLoss }, noSkips(), [1]);
      const weight = totalWeight(prmLoss);
      expect((first.loss as number) / weight).toBeCloseTo(Math.LN2, 5);
      const later = await trainPrm(prm, data, { ...PRM, prmLoss, prmEpochs: 60 }, noSkips(), [2]);
      expect((later.updates.at(-1)?.loss as number) / weight).toBeLessThan(0.3);
    });

    test(`${prmLoss}: micro-batches change neither loss nor weights beyond rounding`, async () => {
      const rows = randomRows(2);
      const results = [];
      for (const maxTokensPerBatch of [1, 25, 1000]) {
        const prm = await makeModel();
        const reference = (await scoreRows(prm, rows, PRM)).map((x) => x - 0.1);
        const { loss } = await trainPrm(
          prm,
          { rows, labels: LABELS, reference, groupSize: 3 },
          { ...PRM, prmLoss, prmMinibatches: 2, maxTokensPerBatch },
          noSkips(),
          [5],
        );
        results.push({ loss, weights: await weightsOf(prm) });
      }
      for (const result of results) {
        expect(result.loss).toBeCloseTo(results[2].loss as number, 5);
        // Adam's first steps are lr * sign(g) for tiny g, so a weight with a rounding-sized gradient may differ by up to 2 lr; in the mean none does.
        expect(meanDifference(result.weights, results[2].weights)).toBeLessThan(1e-5);
      }
    });
  }

  test("firstPass holds the log-probs from before the update, exactly those of a plain forward pass", async () => {
    const prm = await makeModel();
    const rows = randomRows(3);
    const before = await scoreRows(prm, rows, PRM);
    const { firstPass } = await trainPrm(prm, { rows, labels: LABELS, reference: before, groupSize: 3 }, { ...PRM, prmEpochs: 2 }, noSkips(), [1]);
    expectClose(firstPass, before, 1e-6);
    expect(maxDifference(await scoreRows(prm, rows, PRM), before)).toBeGreaterThan(1e-3);
  });
});

const POLICY = {
  temperature: 1,
  clipLow: 0.2,
  clipHigh: 0.2,
  dualClip: 0,
  aggregate: "token-mean" as const,
  entropyCoef: 0,
  klCoef: 0,
  weightDecay: 0,
  gradClip: 1,
  policyEpochs: 1,
  policyMinibatches: 1,
  maxTokensPerBatch: 1000,
  maxSkippedUpdates: 3,
  lr: 1e-2,
};

async function policyData(policy: Model, seed = 4) {
  const rows = randomRows(seed);
  const oldLogprobs = await scoreRows(policy, rows, PRM);
  return { rows, groupSize: 3, oldLogprobs, advantages: new Random(seed).normals(oldLogprobs.length) };
}

describe("updatePolicy", () => {
  test("the first update on rollouts of the same policy has ratio 1, no clipping and the loss -mean(advantage)", async () => {
    const policy = await makeModel();
    const data = await policyData(policy);
    const { loss, ratioMax, clipFraction, approxKl, entropy } = await updatePolicy(policy, data, POLICY, noSkips(), [1]);
    expect(ratioMax).toBeCloseTo(1, 5);
    expect(clipFraction).toBe(0);
    expect(approxKl).toBeCloseTo(0, 6);
    expect(entropy).toBeGreaterThan(3); // random weights: near ln 39 = 3.66
    expect(loss).toBeCloseTo(-data.advantages.reduce((sum, x) => sum + x, 0) / data.advantages.length, 5);
  });

  test("raises the probability of tokens with positive advantage and lowers the others", async () => {
    const policy = await makeModel();
    const data = await policyData(policy);
    await updatePolicy(policy, data, { ...POLICY, lr: 1e-3 }, noSkips(), [1]);
    const after = await scoreRows(policy, data.rows, PRM);
    const change = after.reduce((sum, x, t) => sum + (x - data.oldLogprobs[t]) * data.advantages[t], 0);
    expect(change).toBeGreaterThan(0);
  });

  for (const aggregate of ["token-mean", "sequence-mean", "sequence-sum-mean"] as const) {
    test(`${aggregate}: micro-batches change neither loss nor weights beyond rounding, with entropy and KL terms`, async () => {
      const results = [];
      for (const maxTokensPerBatch of [1, 30, 1000]) {
        const policy = await makeModel();
        const data = await policyData(policy);
        const reference = data.oldLogprobs.map((x) => x + 0.3);
        const options = { ...POLICY, aggregate, entropyCoef: 0.1, klCoef: 0.2, policyMinibatches: 2, policyEpochs: 2, maxTokensPerBatch };
        const { loss } = await updatePolicy(policy, { ...data, reference }, options, noSkips(), [5]);
        results.push({ loss, weights: await weightsOf(policy) });
      }
      for (const result of results) {
        expect(result.loss).toBeCloseTo(results[2].loss as number, 4);
        expect(meanDifference(result.weights, results[2].weights)).toBeLessThan(1e-5);
      }
    });
  }

  test("rows left out have no influence", async () => {
    const weights = [];
    for (const advantage of [0, 100]) {
      const policy = await makeModel();
      const data = await policyData(policy);
      const offsets = responseOffsets(data.rows);
      data.advantages.fill(advantage, offsets[4], offsets[5]);
      const { updates } = await updatePolicy(policy, { ...data, leaveOut: new Set([4]) }, POLICY, noSkips(), [1]);
      expect(updates).toHaveLength(1);
      weights.push(await weightsOf(policy));
    }
    expect(weights[0]).toEqual(weights[1]);
  });

  test("nothing but rows left out: no update", async () => {
    const policy = await makeModel();
    const data = await policyData(policy);
    const { updates, loss } = await updatePolicy(policy, { ...data, leaveOut: new Set(data.rows.keys()) }, POLICY, noSkips(), [1]);
    expect(updates).toHaveLength(0);
    expect(loss).toBeUndefined();
  });

  test("a non-finite advantage skips the update and leaves the weights; the third in a row stops the run", async () => {
    const policy = await makeModel();
    const data = await policyData(policy);
    const before = await weightsOf(policy);
    data.advantages[7] = Number.NaN;
    const skips = noSkips();
    const { updates, loss } = await updatePolicy(policy, data, { ...POLICY, policyEpochs: 2 }, skips, [1]);
    expect(updates.map((update) => update.skipped)).toEqual([true, true]);
    expect(loss).toBeUndefined();
    expect(skips).toEqual({ total: 2, inARow: 2 });
    expect(await weightsOf(policy)).toEqual(before);
    await expect(updatePolicy(policy, data, POLICY, skips, [1])).rejects.toMatchObject({ code: "ERR_NON_FINITE" });
    const good = await updatePolicy(policy, await policyData(policy), POLICY, { total: 2, inARow: 2 }, [1]);
    expect(good.updates[0].skipped).toBe(false);
  });
});

function meanDifference(a: Float32Array, b: Float32Array): number {
  expect(a).toHaveLength(b.length);
  return a.reduce((sum, x, i) => sum + Math.abs(x - b[i]), 0) / a.length;
}
