// The engine against recorded transformers/PyTorch runs (test/fixtures/record_models.py): logits, log-probs, entropies,
// every gradient tensor, ten AdamW steps, greedy continuations.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { Model } from "../../ts/model.ts";
import { expectClose, expectRelative } from "../support/compare.ts";
import { FIXTURE_NAMES, fixtureDir, nll, pack, parameterNames, parameterShape, readRecording, tensorOf } from "../support/models.ts";
import { readSafetensors } from "../support/safetensors.ts";

setDefaultTimeout(60_000); // test machines are busy

const load = (name: string) => Model.load(fixtureDir(name), { device: "cpu", dtype: "float32" });

for (const name of FIXTURE_NAMES) {
  describe(`${name} equals the recorded transformers run`, () => {
    const recording = readRecording(name);
    const batch = pack(recording.rows, recording.promptLengths);

    test("parameter names, shapes and values", async () => {
      using model = await load(name);
      const weights = readSafetensors(join(fixtureDir(name), "model.safetensors"));
      expect([...parameterNames(model)].sort()).toEqual([...weights.keys()].sort());
      let count = 0;
      for (const [parameter, { shape, values }] of weights) {
        expect(parameterShape(model, parameter)).toEqual(shape);
        expectClose(await model.native.readParameter(parameter, "value"), values, 0, parameter);
        count += values.length;
      }
      expect(model.numParameters).toBe(count);
    });

    test("logits within 1e-4", async () => {
      using model = await load(name);
      expectClose(await model.native.logits(batch.tokens, batch.offsets), tensorOf(recording, "logits"), 1e-4, "logits");
    });

    test("log-probs and entropies within 1e-4", async () => {
      using model = await load(name);
      const scores = await model.logprobs(batch);
      expectClose(scores.logprobs, tensorOf(recording, "logprobs"), 1e-4, "logprobs");
      expectClose(scores.entropy, tensorOf(recording, "entropy"), 1e-4, "entropy");
      expect(Array.from(scores.offsets)).toEqual([0, 3, 15, 39]);
    });

    test("every gradient tensor within 1e-4 relative", async () => {
      using model = await load(name);
      await model.forwardBackward(batch, nll);
      for (const parameter of parameterNames(model)) {
        expectRelative(await model.native.readParameter(parameter, "gradient"), tensorOf(recording, `gradient/${parameter}`), 1e-4, parameter);
      }
    });

    test("the losses of ten AdamW steps within 1e-4", async () => {
      using model = await load(name);
      const losses: number[] = [];
      for (const expectedNorm of recording.gradNorms) {
        losses.push(nll(await model.forwardBackward(batch, nll)).loss);
        const { gradNorm, skipped } = await model.step(recording.adamw);
        expect(skipped).toBe(false);
        expect(Math.abs(gradNorm - expectedNorm)).toBeLessThanOrEqual(1e-3 * expectedNorm);
      }
      losses.push(nll(await model.logprobs(batch)).loss);
      expectClose(losses, recording.losses, 1e-4, "losses");
    });

    test("greedy continuations", async () => {
      using model = await load(name);
      const rollouts = await model.generate(recording.rows, { maxNewTokens: 12, temperature: 0, stop: { tokens: [] } });
      expect(rollouts.map((rollout) => Array.from(rollout.tokens))).toEqual(recording.greedy);
    });
  });
}

test("weighted log-probs and entropies at a temperature give the recorded gradients", async () => {
  const recording = readRecording("qwen2_tied");
  const weights = tensorOf(recording, "tempered/weights");
  const n = weights.length;
  using model = await load("qwen2_tied");
  const scores = await model.forwardBackward(
    pack(recording.rows, recording.promptLengths),
    () => ({ dLogprobs: weights.map((w) => -w / n), dEntropy: new Float32Array(n).fill(-recording.entropyCoef / n) }),
    { temperature: recording.temperature },
  );
  expectClose(scores.logprobs, tensorOf(recording, "tempered/logprobs"), 1e-4, "logprobs");
  expectClose(scores.entropy, tensorOf(recording, "tempered/entropy"), 1e-4, "entropy");
  for (const parameter of parameterNames(model)) {
    expectRelative(await model.native.readParameter(parameter, "gradient"), tensorOf(recording, `tempered/gradient/${parameter}`), 1e-4, parameter);
  }
});

describe("reading the two spellings of config.json", () => {
  test("rope_theta at the top, no head_dim", async () => {
    using model = await load("qwen2_tied");
    expect(model.config).toMatchObject({ ropeTheta: 10000, tieWordEmbeddings: true, vocabSize: 97, rmsNormEps: 1e-6 });
  });
  test("rope_parameters and head_dim", async () => {
    using model = await load("qwen2_untied");
    expect(model.config).toMatchObject({ ropeTheta: 1e6, tieWordEmbeddings: false, headDim: 24, rmsNormEps: 1e-5 });
  });
  test("rope_scaling, its type called type", async () => {
    using model = await load("qwen2_yarn");
    expect(model.config).toMatchObject({ ropeTheta: 1e6, ropeScaling: { type: "yarn", factor: 4, originalMaxPositionEmbeddings: 512 } });
    using biased = await load("llama_bias");
    expect(biased.config).toMatchObject({ architecture: "llama", attentionBias: true, mlpBias: true, ropeScaling: { type: "linear", factor: 2.5 } });
  });
  test("scaling in rope_parameters", async () => {
    using model = await load("llama_llama3");
    const ropeScaling = { type: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 64 };
    expect(model.config).toMatchObject({ architecture: "llama", attentionBias: false, mlpBias: false, ropeTheta: 5e5, ropeScaling });
  });
});
