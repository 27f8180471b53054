// Generation: decode equals forward, samples are a function of the seed and the sequence only, stopping, limits, progress.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { GenerateOptions, Model, Rollout } from "../../ts/model.ts";
import { native } from "../../ts/native/addon.ts";
import { expectClose, expectIdentical } from "../support/compare.ts";
import { pack, randomModel, randomRows, rowOf, TINY } from "../support/models.ts";
import { Random } from "../support/random.ts";

setDefaultTimeout(60_000); // test machines are busy

const prompts = randomRows(new Random(4), [5, 1, 17, 3, 40, 8], TINY.vocabSize);

/** Log-probs of every rollout's tokens by the training forward pass. */
async function forwardLogprobs(model: Model, rollouts: Rollout[], temperature: number): Promise<Float32Array[]> {
  const rows = rollouts.map((r) => Int32Array.from([...prompts[r.prompt], ...r.tokens]));
  const scores = await model.logprobs(
    pack(
      rows,
      rollouts.map((r) => prompts[r.prompt].length),
    ),
    { temperature },
  );
  return rollouts.map((_, i) => rowOf(scores, i));
}

describe("decoding equals the forward pass", () => {
  for (const [title, options] of [
    ["at temperature 1", { temperature: 1 }],
    ["at temperature 0.6", { temperature: 0.6 }],
    ["with top-k and top-p, whose log-probs stay those of the full distribution", { temperature: 1.3, topK: 7, topP: 0.8 }],
    ["greedy, whose log-probs are at temperature 1", { temperature: 0 }],
  ] as [string, Partial<GenerateOptions>][]) {
    test(title, async () => {
      using model = await randomModel();
      const rollouts = await model.generate(prompts, { samples: 3, maxNewTokens: 30, seed: 9, ...options });
      const expected = await forwardLogprobs(model, rollouts, options.temperature || 1);
      for (const [i, rollout] of rollouts.entries()) expectClose(rollout.logprobs, expected[i], 1e-5, `rollout ${i}`);
    });
  }

  test("across many cache entries", async () => {
    using model = await randomModel();
    const rollouts = await model.generate(prompts, { maxNewTokens: 300, seed: 9 });
    const expected = await forwardLogprobs(model, rollouts, 1);
    for (const [i, rollout] of rollouts.entries()) {
      expect(rollout.tokens.length).toBe(300);
      expectClose(rollout.logprobs, expected[i], 1e-5, `rollout ${i}`);
    }
  });

  test("with every grouping of heads", async () => {
    for (const changes of [{ numKeyValueHeads: 4 }, { numKeyValueHeads: 1, headDim: 6 }, { numAttentionHeads: 14, numKeyValueHeads: 2, headDim: 64 }]) {
      using model = await randomModel({ ...TINY, ...changes });
      const rollouts = await model.generate(prompts, { maxNewTokens: 20, seed: 9 });
      const expected = await forwardLogprobs(model, rollouts, 1);
      for (const [i, rollout] of rollouts.entries()) expectClose(rollout.logprobs, expected[i], 1e-5, `rollout ${i} of ${JSON.stringify(changes)}`);
    }
  });

  test("in bfloat16 within its rounding", async () => {
    using model = await randomModel(TINY, { dtype: "bfloat16" });
    const rollouts = await model.generate(prompts, { maxNewTokens: 30, seed: 9 });
    const expected = await forwardLogprobs(model, rollouts, 1);
    for (const [i, rollout] of rollouts.entries()) expectClose(rollout.logprobs, expected[i], 0.1, `rollout ${i}`);
  });

  test("after the weights have changed", async () => {
    using model = await randomModel();
    await model.generate(prompts, { maxNewTokens: 5, seed: 9 });
    await model.forwardBackward(pack(prompts), (scores) => ({ dLogprobs: new Float32Array(scores.logprobs.length).fill(-0.1) }));
    await model.step({ lr: 0.05 });
    const rollouts = await model.generate(prompts, { maxNewTokens: 10, seed: 9 });
    const expected = await forwardLogprobs(model, rollouts, 1);
    for (const [i, rollout] of rollouts.entries()) expectClose(rollout.logprobs, expected[i], 1e-5, `rollout ${i}`);
  });
});

describe("samples depend on the seed and the sequence only", () => {
  const options = { samples: 3, maxNewTokens: 24, seed: 77, stop: { tokens: [5, 6] } };
  const expectSame = (actual: Rollout[], expected: Rollout[]) => {
    expect(actual.length).toBe(expected.length);
    for (const [i, rollout] of actual.entries()) {
      expectIdentical(rollout.tokens, expected[i].tokens, `rollout ${i}`);
      expectClose(rollout.logprobs, expected[i].logprobs, 1e-5, `log-probs of rollout ${i}`);
      expect(rollout.finishReason).toBe(expected[i].finishReason);
    }
  };

  test("order: by prompt, then by sample", async () => {
    using model = await randomModel();
    const rollouts = await model.generate(prompts, options);
    expect(rollouts.map((r) => [r.prompt, r.sample])).toEqual(prompts.flatMap((_, p) => [0, 1, 2].map((g) => [p, g])));
    expect(new Set(rollouts.map((r) => r.finishReason))).toEqual(new Set(["stop", "length"]));
  });

  test("not on the number of decoding slots", async () => {
    using model = await randomModel();
    const expected = await model.generate(prompts, options);
    for (const maxBatch of [1, 2, 5, 18, 1000]) expectSame(await model.generate(prompts, { ...options, maxBatch }), expected);
  });

  test("not on the threads, each of which decodes a batch of its own when there are enough sequences", async () => {
    for (const dtype of ["float32", "bfloat16"] as const) {
      using model = await randomModel(TINY, { dtype });
      const many = { ...options, samples: 16 }; // 96 sequences, of which some end early and let others in
      const before = native().info().threads;
      native().setThreads(1);
      try {
        const expected = await model.generate(prompts, { ...many, maxBatch: 70 });
        for (const threads of [2, 3, 5]) {
          native().setThreads(threads);
          expectSame(await model.generate(prompts, { ...many, maxBatch: 16 * threads + 3 }), expected);
        }
      } finally {
        native().setThreads(before);
      }
    }
  });

  test("not on the other prompts", async () => {
    using model = await randomModel();
    const expected = await model.generate(prompts, options);
    for (let p = 0; p < prompts.length; p++) {
      expectSame(await model.generate([prompts[p]], { ...options, firstSequence: 3 * p }), expected.slice(3 * p, 3 * p + 3));
    }
  });

  test("the same call twice is bit-identical; another seed or sequence is not", async () => {
    using model = await randomModel();
    const first = await model.generate(prompts, options);
    const second = await model.generate(prompts, options);
    for (const [i, rollout] of second.entries()) {
      expectIdentical(rollout.tokens, first[i].tokens);
      expectIdentical(rollout.logprobs, first[i].logprobs);
    }
    const texts = (rollouts: Rollout[]) => rollouts.map((r) => r.tokens.join());
    expect(texts(await model.generate(prompts, { ...options, seed: 78 }))).not.toEqual(texts(first));
    expect(texts(await model.generate(prompts, { ...options, firstSequence: 100 }))).not.toEqual(texts(first));
    expect(new Set(texts(first).slice(0, 3)).size).toBe(3); // the samples of one prompt differ
  });

  test("seeds and sequence numbers have 64 bits", async () => {
    using model = await randomModel();
    const texts = async (seed: bigint, firstSequence: bigint) =>
      (await model.generate(prompts, { ...options, seed, firstSequence })).map((r) => r.tokens.join()).join(";");
    const all = [await texts(1n, 0n), await texts(1n + 2n ** 40n, 0n), await texts(1n, 2n ** 40n), await texts(2n ** 64n - 1n, 0n)];
    expect(new Set(all).size).toBe(4);
  });
});

describe("choosing tokens", () => {
  test("greedy is the argmax of the logits at every position", async () => {
    using model = await randomModel();
    const rollouts = await model.generate(prompts, { maxNewTokens: 15, temperature: 0 });
    for (const rollout of rollouts) {
      const prompt = prompts[rollout.prompt];
      const { tokens, offsets } = pack([[...prompt, ...rollout.tokens]]);
      const logits = await model.native.logits(tokens, offsets);
      const V = TINY.vocabSize;
      const best = Array.from(rollout.tokens, (_, t) => {
        const row = Array.from(logits.subarray((prompt.length - 1 + t) * V, (prompt.length + t) * V));
        return row.indexOf(Math.max(...row));
      });
      expect(Array.from(rollout.tokens)).toEqual(best);
    }
  });

  test("top-k 1 and a tiny top-p are greedy", async () => {
    using model = await randomModel();
    const greedy = await model.generate(prompts, { maxNewTokens: 15, temperature: 0 });
    for (const options of [{ topK: 1 }, { topP: 1e-6 }]) {
      const rollouts = await model.generate(prompts, { maxNewTokens: 15, temperature: 1, seed: 3, ...options });
      expect(rollouts.map((r) => r.tokens)).toEqual(greedy.map((r) => r.tokens));
    }
  });
});

describe("stopping", () => {
  test("maxNewTokens is the limit, and nothing stops unless asked to", async () => {
    using model = await randomModel({ ...TINY, eosTokenId: 5 });
    for (const maxNewTokens of [1, 2, 33]) {
      const rollouts = await model.generate(prompts, { maxNewTokens, seed: 1, stop: { tokens: [] } });
      for (const rollout of rollouts)
        expect([rollout.tokens.length, rollout.logprobs.length, rollout.finishReason]).toEqual([maxNewTokens, maxNewTokens, "length"]);
    }
  });

  test("a stop token ends the rollout and is its last token", async () => {
    using model = await randomModel();
    const options = { samples: 4, maxNewTokens: 40, seed: 12 };
    const free = await model.generate(prompts, options);
    const stopped = await model.generate(prompts, { ...options, stop: { tokens: [3, 30] } });
    for (const [i, rollout] of stopped.entries()) {
      const at = free[i].tokens.findIndex((token) => token === 3 || token === 30);
      expectIdentical(rollout.tokens, at < 0 ? free[i].tokens : free[i].tokens.slice(0, at + 1), `rollout ${i}`);
      expect(rollout.finishReason).toBe(at < 0 ? "length" : "stop");
      expect(rollout.logprobs.length).toBe(rollout.tokens.length);
    }
    expect(new Set(stopped.map((r) => r.finishReason)).size).toBe(2);
  });

  test("a stop token that is just the last allowed one is a stop, not a cut", async () => {
    using model = await randomModel();
    const options = { samples: 4, maxNewTokens: 40, seed: 12, stop: { tokens: [3, 30] } };
    const stopped = await model.generate(prompts, options);
    const lengths = [...new Set(stopped.filter(({ finishReason }) => finishReason === "stop").map(({ tokens }) => tokens.length))];
    expect(lengths.length).toBeGreaterThan(2);
    for (const maxNewTokens of lengths) {
      const rollouts = await model.generate(prompts, { ...options, maxNewTokens });
      expect(rollouts.map(({ finishReason }) => finishReason)).toEqual(
        stopped.map(({ finishReason, tokens }) => (finishReason === "stop" && tokens.length <= maxNewTokens ? "stop" : "length")),
      );
    }
  });

  // Token i is the letter i of the alphabet (and beyond it two letters at once), so stop strings cross token borders.
  const tokenBytes = (id: number) =>
    new TextEncoder().encode(id < 26 ? String.fromCharCode(97 + id) : String.fromCharCode(97 + id - 26) + String.fromCharCode(98 + id - 26));
  const textOf = (tokens: Int32Array) => Array.from(tokens, (id) => new TextDecoder().decode(tokenBytes(id))).join("");

  test("a stop string ends the rollout at the token that completes it", async () => {
    using model = await randomModel();
    const strings = ["ab", "bcd", "x", "jkj", "ee"];
    const options = { samples: 8, maxNewTokens: 40, seed: 12 };
    const free = await model.generate(prompts, options);
    const stopped = await model.generate(prompts, { ...options, stop: { strings, tokenBytes } });
    for (const [i, rollout] of stopped.entries()) {
      let end = 1;
      while (end <= free[i].tokens.length && !strings.some((s) => textOf(free[i].tokens.subarray(0, end)).includes(s))) end++;
      expectIdentical(rollout.tokens, free[i].tokens.slice(0, end), `rollout ${i}`);
      expect(rollout.finishReason).toBe(end <= free[i].tokens.length ? "stop" : "length");
    }
    expect(stopped.filter((r) => r.finishReason === "stop").length).toBeGreaterThan(5);
  });

  test("a stop string may not begin in the prompt", async () => {
    using model = await randomModel();
    const prompt = [9, 10]; // "jk"
    const free = await model.generate([prompt], { samples: 50, maxNewTokens: 1, seed: 3 });
    const first = textOf(free[0].tokens);
    const stopped = await model.generate([prompt], { samples: 50, maxNewTokens: 2, seed: 3, stop: { strings: [`jk${first}`], tokenBytes } });
    expect(stopped[0].tokens.length).toBe(2);
    expect(stopped[0].finishReason).toBe("length");
  });

  test("bytes of a multi-byte character may be spread over tokens", async () => {
    using model = await randomModel();
    const free = await model.generate(prompts, { samples: 1, maxNewTokens: 20, seed: 12 });
    const [first, second] = free[0].tokens.subarray(4, 6);
    const bytes = (id: number) => (id === first ? new Uint8Array([0xc3]) : id === second ? new Uint8Array([0xa9]) : new Uint8Array([0x20]));
    if (first === second) throw new Error("choose another seed: the two tokens are the same");
    const stopped = await model.generate([prompts[0]], { maxNewTokens: 20, seed: 12, stop: { strings: ["é"], tokenBytes: bytes } });
    expect(stopped[0].finishReason).toBe("stop");
    expect(Array.from(stopped[0].tokens.slice(-2))).toEqual([first, second]);
  });
});

test("progress counts finished sequences up to their number", async () => {
  using model = await randomModel();
  const seen: [number, number][] = [];
  await model.generate(prompts, { samples: 4, maxNewTokens: 30, maxBatch: 3, seed: 1, onProgress: (done, total) => seen.push([done, total]) });
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.at(-1)).toEqual([24, 24]);
  for (let i = 1; i < seen.length; i++) expect(seen[i][0]).toBeGreaterThanOrEqual(seen[i - 1][0]);
});

test("weights that are not finite end every thread's batch with one error", async () => {
  using model = await randomModel();
  const { shape } = model.native.parameters().find(({ name }) => name === "model.norm.weight") ?? { shape: [] };
  await model.native.writeParameter("model.norm.weight", new Float32Array(shape[0]).fill(Number.NaN));
  await expect(model.generate(prompts, { samples: 16, maxNewTokens: 5 })).rejects.toThrow("not finite");
  expect(model.native.parameters().length).toBeGreaterThan(0);
});

test("generation leaves gradients and the optimizer alone", async () => {
  using model = await randomModel();
  const batch = pack(prompts);
  await model.forwardBackward(batch, (scores) => ({ dLogprobs: new Float32Array(scores.logprobs.length).fill(1) }));
  const before = await model.native.readParameter("model.norm.weight", "gradient");
  await model.generate(prompts, { maxNewTokens: 10, seed: 1 });
  await model.logprobs(batch);
  expectIdentical(await model.native.readParameter("model.norm.weight", "gradient"), before);
});
