// The distribution samples come from, by chi-square tests with fixed seeds (so they cannot fail by chance on one machine).
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { GenerateOptions, Model, Qwen2Config } from "../../ts/model.ts";
import { expectClose } from "../support/compare.ts";
import { pack, randomModel, TINY } from "../support/models.ts";

setDefaultTimeout(60_000); // test machines are busy

const config: Qwen2Config = { ...TINY, vocabSize: 12 };
const prompt = [3, 1, 4, 1, 5];
const SAMPLES = 6000;

/** softmax of the logits after the prompt. */
async function probabilities(model: Model, temperature: number, row: number[] = prompt): Promise<number[]> {
  const { tokens, offsets } = pack([row]);
  const logits = (await model.native.logits(tokens, offsets)).slice((row.length - 1) * config.vocabSize);
  const weights = Array.from(logits, (z) => Math.exp(z / temperature));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((w) => w / sum);
}

async function sampleCounts(model: Model, options: Partial<GenerateOptions>): Promise<number[]> {
  const counts = new Array<number>(config.vocabSize).fill(0);
  for (const rollout of await model.generate([prompt], { samples: SAMPLES, maxNewTokens: 1, seed: 2024, ...options })) counts[rollout.tokens[0]]++;
  return counts;
}

/** Chi-square of the counts over the tokens expected at least 5 times, as a normal deviate (Wilson-Hilferty). */
function deviation(counts: number[], expected: number[]): number {
  const total = counts.reduce((a, b) => a + b);
  let chi = 0;
  let cells = 0;
  for (let i = 0; i < counts.length; i++) {
    if (expected[i] * total < 5) continue;
    chi += (counts[i] - expected[i] * total) ** 2 / (expected[i] * total);
    cells++;
  }
  const dof = cells - 1;
  return (Math.cbrt(chi / dof) - (1 - 2 / (9 * dof))) / Math.sqrt(2 / (9 * dof));
}

/** The distribution with everything outside `keep` removed. */
function restricted(p: number[], keep: Set<number>): number[] {
  const kept = p.map((x, i) => (keep.has(i) ? x : 0));
  const sum = kept.reduce((a, b) => a + b);
  return kept.map((x) => x / sum);
}

const byProbability = (p: number[]) => p.map((_, i) => i).sort((a, b) => p[b] - p[a]);

/** The smallest set of likeliest tokens whose probability reaches topP. */
function nucleus(p: number[], topP: number): Set<number> {
  const keep = new Set<number>();
  let sum = 0;
  for (const i of byProbability(p)) {
    if (sum >= topP) break;
    keep.add(i);
    sum += p[i];
  }
  return keep;
}

describe("samples follow the softmax of the logits", () => {
  for (const temperature of [1, 0.5, 2.5]) {
    test(`at temperature ${temperature}`, async () => {
      using model = await randomModel(config, {}, 1, 0.8);
      const p = await probabilities(model, temperature);
      const counts = await sampleCounts(model, { temperature });
      expect(deviation(counts, p)).toBeLessThan(4);
      expect(deviation(counts, p)).toBeGreaterThan(-4); // closer than chance allows would be wrong too
      expect(deviation(counts, await probabilities(model, temperature * 1.6))).toBeGreaterThan(6); // the test has power
    });
  }

  test("top-k keeps the k likeliest", async () => {
    using model = await randomModel(config, {}, 1, 0.8);
    const p = await probabilities(model, 1);
    const keep = new Set(byProbability(p).slice(0, 4));
    const counts = await sampleCounts(model, { topK: 4 });
    for (let i = 0; i < counts.length; i++) expect(counts[i] > 0).toBe(keep.has(i));
    expect(deviation(counts, restricted(p, keep))).toBeLessThan(4);
  });

  test("top-p keeps the smallest set that reaches p", async () => {
    using model = await randomModel(config, {}, 1, 0.8);
    const p = await probabilities(model, 1.5);
    for (const topP of [0.4, 0.75, 0.95]) {
      const keep = nucleus(p, topP);
      const counts = await sampleCounts(model, { topP, temperature: 1.5 });
      for (let i = 0; i < counts.length; i++) if (!keep.has(i)) expect(counts[i]).toBe(0);
      expect(deviation(counts, restricted(p, keep))).toBeLessThan(4);
    }
  });

  test("top-k first, then top-p of what is left of the full distribution or of the cut one: never more than either alone", async () => {
    using model = await randomModel(config, {}, 1, 0.8);
    const p = await probabilities(model, 1);
    const topK = new Set(byProbability(p).slice(0, 5));
    const counts = await sampleCounts(model, { topK: 5, topP: 0.8 });
    for (let i = 0; i < counts.length; i++) if (counts[i] > 0) expect(topK.has(i)).toBe(true);
    expect(counts[byProbability(p)[0]]).toBeGreaterThan(0);
  });

  test("k beyond the vocabulary and p of 1 cut nothing", async () => {
    using model = await randomModel(config, {}, 1, 0.8);
    const free = await sampleCounts(model, {});
    expect(await sampleCounts(model, { topK: config.vocabSize, topP: 1 })).toEqual(free);
  });

  test("a token's log-prob is that of the full distribution, whatever is cut", async () => {
    using model = await randomModel(config, {}, 1, 0.8);
    const p = await probabilities(model, 1.5);
    for (const rollout of await model.generate([prompt], { samples: 200, maxNewTokens: 1, temperature: 1.5, topK: 3, topP: 0.9, seed: 5 })) {
      expectClose(rollout.logprobs, [Math.log(p[rollout.tokens[0]])], 1e-5);
    }
  });

  test("the second token follows its own distribution, given the first", async () => {
    using model = await randomModel(config, {}, 1, 0.8);
    const rollouts = await model.generate([prompt], { samples: SAMPLES, maxNewTokens: 2, seed: 99 });
    const first = byProbability(await probabilities(model, 1))[0];
    const counts = new Array<number>(config.vocabSize).fill(0);
    for (const { tokens } of rollouts) if (tokens[0] === first) counts[tokens[1]]++;
    expect(deviation(counts, await probabilities(model, 1, [...prompt, first]))).toBeLessThan(4);
  });

  test("neighbouring sequences and seeds are independent", async () => {
    using model = await randomModel(config, {}, 1, 0.8);
    const p = await probabilities(model, 1);
    const draws = async (seed: number) => (await model.generate([prompt], { samples: SAMPLES, maxNewTokens: 1, seed })).map((r) => r.tokens[0]);
    const agreeing = p.reduce((sum, x) => sum + x * x, 0);
    const spread = 4 * Math.sqrt((agreeing * (1 - agreeing)) / SAMPLES);
    const a = await draws(1);
    const b = await draws(2);
    const share = (hits: boolean[]) => hits.filter(Boolean).length / hits.length;
    expect(Math.abs(share(a.map((x, i) => x === b[i])) - agreeing)).toBeLessThan(spread);
    expect(Math.abs(share(a.slice(1).map((x, i) => x === a[i])) - agreeing)).toBeLessThan(1.5 * spread);
  });
});
