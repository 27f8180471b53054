// Model directories, whole: what was loaded is what is written; shards, tokenizer files, the card; broken ones are one clear error.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkTokenizerFits, Model } from "../../ts/model.ts";
import { readTensorFile } from "../../ts/safetensors.ts";
import { errorOf, expectClose, expectIdentical } from "../support/compare.ts";
import { FIXTURE_NAMES, fixtureDir, nll, pack, randomModel, readAll, readRecording, TINY, tensorOf } from "../support/models.ts";
import { readSafetensors } from "../support/safetensors.ts";

setDefaultTimeout(60_000); // test machines are busy

const folder = mkdtempSync(join(tmpdir(), "primekit-folders-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const json = (dir: string, name: string) => JSON.parse(readFileSync(join(dir, name), "utf8")) as Record<string, never>;
const write = (dir: string, name: string, value: unknown) => writeFileSync(join(dir, name), typeof value === "string" ? value : JSON.stringify(value));

/** A copy of a fixture's model. */
function copyOf(fixture: string, name: string): string {
  const dir = join(folder, name);
  mkdirSync(dir, { recursive: true });
  for (const file of ["config.json", "model.safetensors"]) cpSync(join(fixtureDir(fixture), file), join(dir, file));
  return dir;
}

/** The same in three shards or more. */
async function shardedCopy(fixture: string, name: string, dtype?: "float32" | "bfloat16" | "float16"): Promise<string> {
  const dir = join(folder, name);
  using model = await Model.load(fixtureDir(fixture), { trainable: false });
  await model.save(dir, { maxShardBytes: 10_000, dtype });
  expect(readdirSync(dir).filter((file) => file.endsWith(".safetensors")).length).toBeGreaterThan(2);
  return dir;
}

describe("what is loaded is what is saved", () => {
  for (const name of FIXTURE_NAMES) {
    test(`${name}: config.json word for word, with older names at most beside, and the recorded logits`, async () => {
      const dir = join(folder, `same-${name}`);
      using model = await Model.load(fixtureDir(name));
      await model.save(dir);
      const [written, original] = [json(dir, "config.json"), json(fixtureDir(name), "config.json")];
      expect(written).toEqual({ ...written, ...original });
      const added = Object.keys(written).filter((key) => !(key in original));
      expect(["torch_dtype", "rope_theta", "rope_scaling"]).toEqual(expect.arrayContaining(added));
      using again = await Model.load(dir, { trainable: false });
      expect(again.config).toEqual(model.config);
      const recording = readRecording(name);
      const { tokens, offsets } = pack(recording.rows);
      expectClose(await again.native.logits(tokens, offsets), tensorOf(recording, "logits"), 1e-4, "logits");
    });
  }

  test("the type of the weights, also of a copy and by name", async () => {
    for (const [dtype, type] of [
      ["float16", "F16"],
      ["bfloat16", "BF16"],
    ] as const) {
      const dir = await shardedCopy("llama_llama3", `typed-${dtype}`, dtype);
      expect(json(dir, "config.json").dtype as unknown).toBe(dtype);
      using model = await Model.load(dir);
      using copy = await model.clone({ trainable: false });
      const out = join(folder, `typed-again-${dtype}`);
      await copy.save(out);
      const tensors = [...readTensorFile(join(out, "model.safetensors")).tensors.values()];
      expect(tensors.every((tensor) => tensor.type === type)).toBe(true);
      using again = await Model.load(out);
      const expected = await readAll(model, "value");
      for (const [name, values] of await readAll(again, "value")) expectIdentical(values, expected.get(name) as Float32Array, name);
    }
  });

  test("float16 is read and written to its last bit, and refuses what it cannot hold", async () => {
    using model = await randomModel();
    const dir = join(folder, "half");
    await model.save(dir, { dtype: "float16" });
    using again = await Model.load(dir);
    const exact = await readAll(model, "value");
    for (const [name, values] of await readAll(again, "value")) {
      const expected = (exact.get(name) as Float32Array).map((x) => Math.abs(x));
      for (const [i, x] of values.entries()) expect(Math.abs(Math.abs(x) - expected[i])).toBeLessThanOrEqual(Math.max(expected[i] * 2 ** -11, 2 ** -25));
    }
    await model.native.writeParameter("model.norm.weight", new Float32Array(TINY.hiddenSize).fill(1e6));
    const before = readFileSync(join(dir, "model.safetensors"));
    const error = await errorOf(() => model.save(dir, { dtype: "float16" }));
    expect(error.message).toContain("float16");
    expect(readFileSync(join(dir, "model.safetensors")).equals(before)).toBe(true);
    expect(readdirSync(dir).sort()).toEqual(["config.json", "generation_config.json", "model.safetensors"]);
  });

  test("generation_config.json is kept, and its ends of text stop generation", async () => {
    const dir = copyOf("qwen2_tied", "generation");
    write(dir, "generation_config.json", { eos_token_id: [5, 1], temperature: 0.7, odd: [1, 2] });
    using model = await Model.load(dir);
    expect(model.config).toMatchObject({ eosTokenId: 1, eosTokenIds: [5, 1] });
    const rollouts = await model.generate([[3], [4]], { samples: 30, maxNewTokens: 60, seed: 1 });
    const stops = new Set(rollouts.filter((r) => r.finishReason === "stop").map((r) => r.tokens.at(-1)));
    expect([...stops].sort()).toEqual([1, 5]);
    write(dir, "generation_config.json", { eos_token_id: 5 });
    using other = await Model.load(dir);
    expect(other.config.eosTokenIds).toEqual([5]);
    write(dir, "generation_config.json", json(join(fixtureDir("qwen2_tied")), "config.json"));
    using same = await Model.load(dir);
    expect(same.config.eosTokenIds).toBeUndefined();
    write(dir, "generation_config.json", { eos_token_id: [5, 1], temperature: 0.7, odd: [1, 2] });
    await model.save(join(folder, "generation-again"));
    expect(json(join(folder, "generation-again"), "generation_config.json")).toEqual(json(dir, "generation_config.json"));
  });

  test("a model made from sizes says both spellings of RoPE, and Llama says its biases", async () => {
    const ropeScaling = { type: "yarn", factor: 4, originalMaxPositionEmbeddings: 64 } as const;
    using model = await randomModel({ ...TINY, architecture: "llama", attentionBias: true, mlpBias: true, ropeScaling, eosTokenIds: [1, 2] });
    const dir = join(folder, "made");
    await model.save(dir);
    const rope = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 64 };
    expect(json(dir, "config.json")).toMatchObject({
      ...{ model_type: "llama", architectures: ["LlamaForCausalLM"], attention_bias: true, mlp_bias: true, rope_theta: 10000, rope_scaling: rope },
      rope_parameters: { ...rope, rope_theta: 10000 },
    });
    using again = await Model.load(dir);
    const batch = pack([[1, 2, 3, 4, 5, 6, 7]]);
    expectIdentical((await again.logprobs(batch)).logprobs, (await model.logprobs(batch)).logprobs);
  });
});

describe("shards", () => {
  test("say in their index where each tensor lies, and give the same model", async () => {
    const dir = await shardedCopy("qwen2_untied", "sharded");
    const { metadata, weight_map: map } = json(dir, "model.safetensors.index.json") as unknown as {
      metadata: { total_size: number };
      weight_map: Record<string, string>;
    };
    const original = readSafetensors(join(fixtureDir("qwen2_untied"), "model.safetensors"));
    expect(Object.keys(map).sort()).toEqual([...original.keys()].sort());
    let bytes = 0;
    for (const [name, file] of Object.entries(map)) {
      const values = readSafetensors(join(dir, file)).get(name)?.values as Float32Array;
      expectIdentical(values, original.get(name)?.values as Float32Array, name);
      bytes += 4 * values.length;
    }
    expect(metadata.total_size).toBe(bytes);
    using model = await Model.load(dir);
    for (const [name, values] of await readAll(model, "value")) expectIdentical(values, original.get(name)?.values as Float32Array, name);
  });

  test("give way to a single file, and the other way round", async () => {
    const dir = await shardedCopy("qwen2_tied", "back-and-forth");
    using model = await randomModel();
    await model.save(dir);
    expect(readdirSync(dir).sort()).toEqual(["config.json", "generation_config.json", "model.safetensors"]);
    await model.save(dir, { maxShardBytes: 4000 });
    expect(existsSync(join(dir, "model.safetensors"))).toBe(false);
    using again = await Model.load(dir);
    const expected = await readAll(model, "value");
    for (const [name, values] of await readAll(again, "value")) expectIdentical(values, expected.get(name) as Float32Array, name);
  });
});

test("tokenizer files are copied, all that are there, and a card says what the run measured", async () => {
  const from = join(folder, "tokenizer");
  mkdirSync(from);
  const names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "merges.txt", "vocab.json"];
  for (const name of [...names, "unrelated.txt"]) write(from, name, `contents of ${name}`);
  using model = await randomModel();
  const dir = join(folder, "complete");
  const card = {
    title: "A model",
    text: "Trained | tested.",
    figures: { "held-out accuracy": 0.98765, "a|b": "x\ny", none: undefined },
    settings: { lr: 1e-4 },
  };
  await model.save(dir, { tokenizerDir: from, card });
  for (const name of names) expect(readFileSync(join(dir, name), "utf8")).toBe(`contents of ${name}`);
  expect(readdirSync(dir).sort()).toEqual([...names, "README.md", "config.json", "generation_config.json", "model.safetensors"].sort());
  const text = readFileSync(join(dir, "README.md"), "utf8");
  expect(text).toContain("| held-out accuracy | 0.9877 |\n| a\\|b | x y |\n");
  expect(text).toContain('"lr": 0.0001');
  expect(text.startsWith("---\nlibrary_name: transformers\n")).toBe(true);
  const error = await errorOf(() => model.save(dir, { tokenizerDir: join(folder, "nowhere") }));
  expect(error.message).toContain("nowhere");
});

describe("a frozen bfloat16 model", () => {
  const batch = pack([
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
    [30, 31, 32],
  ]);

  test("keeps two bytes for each weight, computes what the trainable one computes, and takes no steps", async () => {
    const config = { ...TINY, vocabSize: 3000, hiddenSize: 64, headDim: 16, intermediateSize: 128 };
    using model = await randomModel(config, { dtype: "bfloat16" });
    using frozen = await model.clone({ trainable: false });
    expect(frozen.native.memoryBytes().parameters).toBeLessThan(2.02 * model.numParameters);
    expect(model.native.memoryBytes().parameters).toBeGreaterThan(5.9 * model.numParameters);
    const scores = await model.logprobs(batch);
    expectIdentical((await frozen.logprobs(batch)).logprobs, scores.logprobs);
    const options = { samples: 3, maxNewTokens: 9, seed: 4 };
    const tokens = async (m: Model) => (await m.generate([[1, 2], [5]], options)).map((r) => Array.from(r.tokens));
    expect(await tokens(frozen)).toEqual(await tokens(model));
    for (const call of [() => frozen.native.backward(new Float32Array(10)), () => frozen.native.step(1e-3, 0.9, 0.999, 1e-8, 0, 1)])
      expect((await errorOf(call)).code).toBe("ERR_STATE");
    await model.forwardBackward(batch, nll);
    await model.step({ lr: 1e-2 });
    expect((await model.logprobs(batch)).logprobs).not.toEqual(scores.logprobs);
    await frozen.copyFrom(model);
    expectIdentical((await frozen.logprobs(batch)).logprobs, (await model.logprobs(batch)).logprobs);
  });

  test("loads from and saves to bfloat16 files bit for bit, and a trainable copy starts from them", async () => {
    const dir = await shardedCopy("llama_bias", "frozen", "bfloat16");
    using frozen = await Model.load(dir, { dtype: "bfloat16", trainable: false });
    using trainable = await Model.load(dir, { dtype: "bfloat16" });
    using thawed = await frozen.clone({ trainable: true });
    const expected = await readAll(trainable, "value");
    for (const model of [frozen, thawed])
      for (const [name, values] of await readAll(model, "value")) expectIdentical(values, expected.get(name) as Float32Array, name);
    const out = join(folder, "frozen-again");
    await frozen.save(out, { maxShardBytes: 10_000 });
    for (const file of readdirSync(dir)) expect(readFileSync(join(out, file)).equals(readFileSync(join(dir, file))), file).toBe(true);
    await thawed.forwardBackward(batch, nll);
    expect((await thawed.step({ lr: 1e-3 })).skipped).toBe(false);
  });

  test("is within bfloat16's rounding of the float32 one", async () => {
    using exact = await Model.load(fixtureDir("llama_llama3"), { trainable: false });
    using rounded = await Model.load(fixtureDir("llama_llama3"), { dtype: "bfloat16", trainable: false });
    expectClose((await rounded.logprobs(batch)).logprobs, (await exact.logprobs(batch)).logprobs, 0.1, "logprobs");
  });
});

describe("broken directories are one clear error", () => {
  const edit = (dir: string, name: string, change: (value: Record<string, never>) => object) => write(dir, name, change(json(dir, name)));
  const config = (change: object) => (dir: string) => edit(dir, "config.json", (c) => ({ ...c, ...change }));
  const single: [string, (dir: string) => void, string, RegExp][] = [
    ["a config with a key twice", (d) => write(d, "config.json", '{"model_type":"qwen2","model_type":"llama"}'), "ERR_MODEL_FORMAT", /"model_type" twice/],
    ["a config that is a list", (d) => write(d, "config.json", "[]"), "ERR_MODEL_FORMAT", /config\.json.*object/],
    [
      "sizes that are NaN",
      (d) => write(d, "config.json", readFileSync(join(d, "config.json"), "utf8").replace("97", "NaN")),
      "ERR_MODEL_FORMAT",
      /config\.json/,
    ],
    ["a size in a string", config({ hidden_size: "32" }), "ERR_CONFIG", /config\.json.*hiddenSize.*"32"/],
    ["a size beyond all memory", config({ vocab_size: 2 ** 40 }), "ERR_CONFIG", /vocabSize/],
    ["a vocabulary of another size", config({ vocab_size: 98 }), "ERR_MODEL_FORMAT", /embed_tokens.*\[97,32\].*\[98,32\]/],
    ["a layer too many", config({ num_hidden_layers: 3 }), "ERR_MODEL_FORMAT", /lacks the tensor "model\.layers\.2/],
    ["a layer too few", config({ num_hidden_layers: 1 }), "ERR_MODEL_FORMAT", /does not know: "model\.layers\.1/],
    ["a head that is not there", config({ tie_word_embeddings: false }), "ERR_MODEL_FORMAT", /lacks the tensor "lm_head\.weight"/],
    ["a yes that is no boolean", config({ tie_word_embeddings: "yes" }), "ERR_CONFIG", /tieWordEmbeddings/],
    ["sliding windows", config({ use_sliding_window: true }), "ERR_UNSUPPORTED", /use_sliding_window/],
    ["layers of sliding attention", config({ layer_types: ["full_attention", "sliding_attention"] }), "ERR_UNSUPPORTED", /sliding_attention/],
    ["experts", config({ num_experts: 8 }), "ERR_UNSUPPORTED", /num_experts/],
    ["normed queries", config({ qk_norm: true }), "ERR_UNSUPPORTED", /qk_norm/],
    ["quantized weights", config({ quantization_config: { bits: 4 } }), "ERR_UNSUPPORTED", /quantization_config/],
    ["dropout", config({ attention_dropout: 0.1 }), "ERR_UNSUPPORTED", /attention_dropout 0\.1/],
    ["another model", config({ model_type: "qwen3" }), "ERR_UNSUPPORTED", /qwen3/],
    ["another head", config({ architectures: ["Qwen2ForSequenceClassification"] }), "ERR_UNSUPPORTED", /SequenceClassification/],
    ["an end of text that is no token", config({ eos_token_id: "</s>" }), "ERR_CONFIG", /eos_token_id/],
    ["a generation config that is no JSON", (d) => write(d, "generation_config.json", "{"), "ERR_MODEL_FORMAT", /generation_config\.json/],
    [
      "weights that are a link to another directory",
      (d) => {
        renameSync(join(d, "model.safetensors"), join(folder, "elsewhere.safetensors"));
        symlinkSync(join(folder, "elsewhere.safetensors"), join(d, "model.safetensors"));
      },
      "ERR_MODEL_FORMAT",
      /link to .*elsewhere/,
    ],
    [
      "a config that is a link to another directory",
      (d) => {
        rmSync(join(d, "config.json"));
        symlinkSync("../tokenizer.json", join(d, "config.json"));
        write(folder, "tokenizer.json", "{}");
      },
      "ERR_MODEL_FORMAT",
      /link/,
    ],
  ];
  for (const [title, change, code, message] of single) {
    test(title, async () => {
      const dir = copyOf("qwen2_tied", title.replaceAll(" ", "-"));
      change(dir);
      await expectRefused(dir, code, message);
    });
  }

  type Index = { weight_map: Record<string, string> };
  const index = (change: (map: Record<string, string>) => object) => (dir: string) =>
    edit(dir, "model.safetensors.index.json", (i) => ({ ...i, weight_map: change((i as unknown as Index).weight_map) }));
  const norm = "model.norm.weight";
  const sharded: [string, (dir: string) => void, string, RegExp][] = [
    ["an index without a map", (d) => write(d, "model.safetensors.index.json", {}), "ERR_MODEL_FORMAT", /weight_map/],
    ["an index that is no JSON", (d) => write(d, "model.safetensors.index.json", "{"), "ERR_MODEL_FORMAT", /index\.json/],
    ["an index with a tensor twice", (d) => write(d, "model.safetensors.index.json", '{"weight_map":{"a":"x","a":"y"}}'), "ERR_MODEL_FORMAT", /"a" twice/],
    ["a shard called ../x", index((m) => ({ ...m, [norm]: "../x.safetensors" })), "ERR_MODEL_FORMAT", /"\.\.\/x\.safetensors"/],
    ["a shard by its whole path", index((m) => ({ ...m, [norm]: "/etc/passwd" })), "ERR_MODEL_FORMAT", /"\/etc\/passwd"/],
    ["a shard that is a number", index((m) => ({ ...m, [norm]: 3 })), "ERR_MODEL_FORMAT", /model\.norm\.weight/],
    ["a shard that is not there", (d) => rmSync(join(d, json(d, "model.safetensors.index.json").weight_map[norm])), "ERR_IO", /model-000\d\d-of/],
    ["a tensor in another shard", index((m) => ({ ...m, [norm]: Object.values(m).find((f) => f !== m[norm]) })), "ERR_MODEL_FORMAT", /model\.norm\.weight/],
    ["a tensor the index forgets", index((m) => ({ ...m, [norm]: undefined })), "ERR_MODEL_FORMAT", /model\.norm\.weight.*does not list/],
    ["a tensor called ../x", index((m) => ({ ...m, "../x": Object.values(m)[0] })), "ERR_MODEL_FORMAT", /lacks the tensor "\.\.\/x"/],
  ];
  for (const [title, change, code, message] of sharded) {
    test(title, async () => {
      const dir = await shardedCopy("qwen2_tied", title.replaceAll(/[ ./]/g, "-"));
      change(dir);
      await expectRefused(dir, code, message);
    });
  }

  test("a tensor called ../x in a single file", async () => {
    const dir = copyOf("qwen2_tied", "dotdot");
    const file = join(dir, "model.safetensors");
    const bytes = readFileSync(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const text = bytes.toString("utf8", 8, 8 + length).replace('"model.norm.weight"', '"../x"'.padEnd(19));
    writeFileSync(file, Buffer.concat([bytes.subarray(0, 8), Buffer.from(text.padEnd(length)), bytes.subarray(8 + length)]));
    await expectRefused(dir, "ERR_MODEL_FORMAT", /lacks the tensor "model\.norm\.weight"/);
  });

  test("the cache of the Hugging Face hub, where a snapshot links to its own blobs, is read", async () => {
    const repo = join(folder, "models--a--b");
    const snapshot = join(repo, "snapshots", "0123");
    mkdirSync(snapshot, { recursive: true });
    mkdirSync(join(repo, "blobs"));
    for (const [i, name] of ["config.json", "model.safetensors"].entries()) {
      cpSync(join(fixtureDir("qwen2_tied"), name), join(repo, "blobs", `sha${i}`));
      symlinkSync(`../../blobs/sha${i}`, join(snapshot, name));
    }
    using model = await Model.load(snapshot, { trainable: false });
    expect(model.config.vocabSize).toBe(97);
  });

  async function expectRefused(dir: string, code: string, message: RegExp): Promise<void> {
    const before = readdirSync(dir).sort();
    const error = await errorOf(() => Model.load(dir));
    expect(error.message).toMatch(message);
    expect(error.code as string).toBe(code);
    expect(readdirSync(dir).sort()).toEqual(before);
  }
});

test("an optimizer file cut short changes nothing in the model it was meant for", async () => {
  using model = await randomModel();
  const batch = pack([[1, 2, 3, 4, 5]]);
  await model.forwardBackward(batch, nll);
  await model.step({ lr: 1e-3 });
  const file = join(folder, "cut.safetensors");
  await model.saveOptimizer(file);
  await model.forwardBackward(batch, nll);
  await model.step({ lr: 1e-3 });
  const name = "model.embed_tokens.weight";
  const before = await model.native.readParameter(name, "secondMoment");
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, whole.length - 40));
  expect((await errorOf(() => model.loadOptimizer(file))).code).toBe("ERR_MODEL_FORMAT");
  // What TypeScript would let pass, the native side refuses before it has taken over anything.
  const parts = [
    { name, slot: "secondMoment" as const, type: "F32" as const, begin: 8 },
    { name, slot: "firstMoment" as const, type: "F32" as const, begin: whole.length - 100 },
  ];
  expect((await errorOf(() => model.native.loadTensors(file, parts))).code).toBe("ERR_MODEL_FORMAT");
  expectIdentical(await model.native.readParameter(name, "secondMoment"), before);
  expect(await model.native.stepCount()).toBe(2);
});

test("a tokenizer whose ids go beyond the model's rows does not fit", async () => {
  checkTokenizerFits({ vocabSize: 37 }, TINY);
  checkTokenizerFits({ vocabSize: 30 }, TINY); // embeddings are often padded
  const error = await errorOf(() => checkTokenizerFits({ vocabSize: 38 }, TINY, "some/model"));
  expect(error.code).toBe("ERR_TOKENIZER");
  expect(error.message).toMatch(/some\/model.*37.*37/);
});
