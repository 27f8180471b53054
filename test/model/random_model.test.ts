// scripts/make_random_model.ts: what it writes is a model folder, the same for equal arguments; and what loading one takes, measured in a process of its own.
// test/bench/real_models.ts does the same and more at the size of Qwen2.5-0.5B.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRandomModel, PRESETS } from "../../scripts/make_random_model.ts";
import { Model } from "../../ts/model.ts";
import { fromHuggingFace } from "../../ts/model_config.ts";
import { expectIdentical } from "../support/compare.ts";
import { nll, pack, randomRows } from "../support/models.ts";
import { Random } from "../support/random.ts";

setDefaultTimeout(120_000); // test machines are busy

const folder = mkdtempSync(join(tmpdir(), "primekit-random-model-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const small = (preset: string) => ({ ...PRESETS[preset], hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2, vocab_size: 3000, head_dim: 16 });

describe("a small model of each preset's kind", () => {
  for (const preset of Object.keys(PRESETS)) {
    const config = { ...small(preset), num_attention_heads: 4, num_key_value_heads: 2 };

    test(`${preset}: in shards, loads frozen and trainable, generates and learns`, async () => {
      const dir = join(folder, preset);
      const count = makeRandomModel(dir, config, { shardBytes: 50_000, seed: 3 });
      expect(readdirSync(dir).filter((name) => name.endsWith(".safetensors")).length).toBeGreaterThan(2);
      using frozen = await Model.load(dir, { dtype: "bfloat16", trainable: false });
      using model = await Model.load(dir, { dtype: "bfloat16" });
      expect(model.numParameters).toBe(count);
      const batch = pack(randomRows(new Random(1), [30, 12], 3000));
      const scores = await model.logprobs(batch);
      expectIdentical((await frozen.logprobs(batch)).logprobs, scores.logprobs);
      const mean = scores.logprobs.reduce((sum, x) => sum + x, 0) / scores.logprobs.length;
      expect(mean).toBeLessThan(-Math.log(3000)); // random, and all of it matters: worse than evenly spread
      expect((await frozen.generate([[5, 6]], { samples: 2, maxNewTokens: 5, seed: 1 })).length).toBe(2);
      await model.forwardBackward(batch, nll);
      expect((await model.step({ lr: 1e-3 })).skipped).toBe(false);
      expect(nll(await model.logprobs(batch)).loss).toBeLessThan(nll(scores).loss);
    });

    test(`${preset}: the same arguments give the same bytes`, () => {
      const [a, b] = [join(folder, `${preset}-a`), join(folder, `${preset}-b`)];
      for (const dir of [a, b]) makeRandomModel(dir, config, { seed: 4 });
      for (const name of readdirSync(a)) expect(readFileSync(join(a, name)).equals(readFileSync(join(b, name))), name).toBe(true);
    });
  }

  test("the presets have the sizes of the models they are named after", () => {
    const sizes = { "qwen2.5-0.5b": 494_032_768, "llama-3.2-1b": 1_235_814_400 };
    for (const [preset, expected] of Object.entries(sizes)) {
      const c = fromHuggingFace(PRESETS[preset], preset);
      const qkv = (c.numAttentionHeads + 2 * c.numKeyValueHeads) * c.headDim;
      const layer = c.hiddenSize * (qkv + c.numAttentionHeads * c.headDim + 3 * c.intermediateSize + 2) + (c.attentionBias ? qkv : 0);
      expect(c.vocabSize * c.hiddenSize + c.numHiddenLayers * layer + c.hiddenSize).toBe(expected);
    }
  });
});

const measurable = existsSync("/proc/self/status");
if (!measurable) console.log("skipped: peak memory cannot be measured here.");
test.skipIf(!measurable)("loading a frozen model takes at most 1.2 times its size", () => {
  const dir = join(folder, "memory");
  const config = { ...PRESETS["qwen2.5-0.5b"], hidden_size: 512, num_attention_heads: 8, num_hidden_layers: 2, intermediate_size: 1024, vocab_size: 100_000 };
  const count = makeRandomModel(dir, config, { shardBytes: 40e6 });
  const program = `
    import { readFileSync } from "node:fs";
    import { Model } from ${JSON.stringify(join(import.meta.dirname, "..", "..", "ts", "model.ts"))};
    const peak = () => 1024 * Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
    const before = peak();
    const model = await Model.load(${JSON.stringify(dir)}, { dtype: process.argv[1], trainable: false });
    console.log(JSON.stringify({ bytes: peak() - before, weights: model.numParameters }));`;
  for (const [dtype, size] of [
    ["bfloat16", 2],
    ["float32", 4],
  ] as const) {
    const child = spawnSync(process.execPath, ["-e", program, dtype], { encoding: "utf8" });
    if (child.status !== 0) throw new Error(child.stderr);
    const { bytes, weights } = JSON.parse(child.stdout.trim().split("\n").at(-1) as string) as { bytes: number; weights: number };
    expect(weights).toBe(count);
    expect({ dtype, share: bytes / (size * count) }).toEqual({ dtype, share: expect.any(Number) });
    expect(bytes / (size * count)).toBeGreaterThan(0.9); // it was measured
    expect(bytes / (size * count)).toBeLessThan(1.2);
  }
});
