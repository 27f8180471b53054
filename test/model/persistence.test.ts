// Copies and files of a model: clone, copyFrom, save, load, optimizer state. All exact.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Model } from "../../ts/model.ts";
import { readTensorFile } from "../../ts/safetensors.ts";
import { errorOf, expectClose, expectIdentical } from "../support/compare.ts";
import { fixtureDir, nll, pack, parameterNames, randomModel, randomRows, readAll, TINY } from "../support/models.ts";
import { Random } from "../support/random.ts";
import { readSafetensors } from "../support/safetensors.ts";

setDefaultTimeout(60_000); // test machines are busy

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "primekit-model-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const batch = pack(randomRows(new Random(3), [7, 12, 4], TINY.vocabSize));

async function train(model: Model, steps: number): Promise<void> {
  for (let i = 0; i < steps; i++) {
    await model.forwardBackward(batch, nll);
    await model.step({ lr: 1e-2, weightDecay: 0.1 });
  }
}

async function expectSameValues(a: Model, b: Model): Promise<void> {
  const expected = await readAll(b, "value");
  const actual = await readAll(a, "value");
  expect([...actual.keys()]).toEqual([...expected.keys()]);
  for (const [name, values] of actual) expectIdentical(values, expected.get(name) as Float32Array, name);
}

describe("copies", () => {
  test("a clone is equal, and then independent", async () => {
    using model = await randomModel();
    using copy = await model.clone({ trainable: false });
    await expectSameValues(copy, model);
    const before = await copy.logprobs(batch);
    await train(model, 1);
    expectIdentical((await copy.logprobs(batch)).logprobs, before.logprobs);
    expect((await model.logprobs(batch)).logprobs).not.toEqual(before.logprobs);
  });

  test("a trainable clone trains like the model it came from, from fresh moments", async () => {
    using model = await randomModel();
    using copy = await model.clone({ trainable: true });
    await train(model, 3);
    await train(copy, 3);
    await expectSameValues(copy, model);
  });

  test("copyFrom makes the values equal", async () => {
    using model = await randomModel(TINY, {}, 1);
    using other = await randomModel(TINY, {}, 2);
    await other.copyFrom(model);
    await expectSameValues(other, model);
    expectIdentical((await other.logprobs(batch)).logprobs, (await model.logprobs(batch)).logprobs);
  });

  test("copyFrom refuses a model of another shape and says so", async () => {
    using model = await randomModel();
    using other = await randomModel({ ...TINY, hiddenSize: 32 });
    expect((await errorOf(() => other.copyFrom(model))).message.length).toBeGreaterThan(20);
    await model.logprobs(batch);
  });
});

describe("folders", () => {
  test("save and load are exact in float32, also after training", async () => {
    using model = await randomModel();
    await train(model, 2);
    const dir = join(folder, "float32");
    await model.save(dir);
    using again = await Model.load(dir, { device: "cpu" });
    expect(again.config).toEqual(model.config);
    await expectSameValues(again, model);
  });

  test("bfloat16 weights are the float32 ones rounded to nearest even", async () => {
    using model = await randomModel();
    const dir = join(folder, "bfloat16");
    await model.save(dir, { dtype: "bfloat16" });
    const saved = readSafetensors(join(dir, "model.safetensors"));
    for (const [name, values] of await readAll(model, "value")) expectIdentical(saved.get(name)?.values as Float32Array, values.map(roundToBfloat16), name);
    using again = await Model.load(dir, { device: "cpu" });
    for (const [name, values] of await readAll(again, "value")) expectIdentical(values, saved.get(name)?.values as Float32Array, name);
  });

  test("what a fixture says is what its saved copy says", async () => {
    for (const name of ["qwen2_tied", "qwen2_untied"]) {
      using model = await Model.load(fixtureDir(name), { device: "cpu" });
      const dir = join(folder, name);
      await model.save(dir);
      const original = readSafetensors(join(fixtureDir(name), "model.safetensors"));
      const saved = readSafetensors(join(dir, "model.safetensors"));
      expect([...saved.keys()].sort()).toEqual([...original.keys()].sort());
      for (const [key, tensor] of original) {
        expect(saved.get(key)?.shape).toEqual(tensor.shape);
        expectIdentical(saved.get(key)?.values as Float32Array, tensor.values, key);
      }
      const written = JSON.parse(readFileSync(join(dir, "config.json"), "utf8"));
      expect(written).toMatchObject({ model_type: "qwen2", architectures: ["Qwen2ForCausalLM"], vocab_size: model.config.vocabSize });
    }
  });

  test("what came in the newer spelling alone is saved in the older one, too: vLLM and transformers 4 would take another RoPE in silence", async () => {
    const older: Record<string, Record<string, unknown>> = {
      qwen2_untied: { rope_theta: 1e6 },
      llama_llama3: {
        rope_theta: 5e5,
        rope_scaling: { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 },
      },
    };
    for (const [name, expected] of Object.entries(older)) {
      const original = JSON.parse(readFileSync(join(fixtureDir(name), "config.json"), "utf8"));
      expect(original).toMatchObject({ dtype: "float32", rope_parameters: { rope_theta: expected.rope_theta } });
      expect(Object.keys(original)).not.toContainAnyValues(["rope_theta", "rope_scaling", "torch_dtype"]);
      using model = await Model.load(fixtureDir(name), { device: "cpu" });
      const dir = join(folder, `spelling_${name}`);
      await model.save(dir, { dtype: "bfloat16" });
      const written = JSON.parse(readFileSync(join(dir, "config.json"), "utf8"));
      expect(written).toEqual({ ...original, ...expected, dtype: "bfloat16", torch_dtype: "bfloat16" });
      using again = await Model.load(dir, { device: "cpu" });
      expect(again.config).toEqual(model.config);
    }
  });

  test("saving again overwrites, and no half-written file is left beside", async () => {
    using model = await randomModel();
    const dir = join(folder, "twice");
    await model.save(dir);
    await train(model, 1);
    await model.save(dir);
    using again = await Model.load(dir, { device: "cpu" });
    await expectSameValues(again, model);
    const { readdirSync } = await import("node:fs");
    expect(readdirSync(dir).filter((file) => /tmp|partial|~/.test(file))).toEqual([]);
  });
});

describe("the optimizer", () => {
  test("saved and loaded, the next steps are bit-identical", async () => {
    using model = await randomModel();
    await train(model, 3);
    const dir = join(folder, "optimizer");
    await model.save(dir);
    await model.saveOptimizer(join(dir, "optimizer.safetensors"));
    using again = await Model.load(dir, { device: "cpu" });
    await again.loadOptimizer(join(dir, "optimizer.safetensors"));
    await train(model, 3);
    await train(again, 3);
    await expectSameValues(again, model);
  });

  test("bfloat16 moments are saved as such, and the next steps are bit-identical", async () => {
    using model = await randomModel(TINY, { moments: "bfloat16" });
    await train(model, 3);
    const dir = join(folder, "bfloat16-moments");
    const file = join(dir, "optimizer.safetensors");
    await model.save(dir);
    await model.saveOptimizer(file);
    const { tensors, metadata } = readTensorFile(file);
    expect([metadata.moments, metadata.step]).toEqual(["bfloat16", "3"]);
    expect(new Set(Array.from(tensors.values(), ({ type }) => type))).toEqual(new Set(["BF16"]));
    using again = await Model.load(dir, { device: "cpu", moments: "bfloat16" });
    await again.loadOptimizer(file);
    await train(model, 3);
    await train(again, 3);
    await expectSameValues(again, model);
  });

  test("moments of the other type are converted: widened exactly, narrowed to the nearest", async () => {
    for (const [from, to] of [
      ["bfloat16", "float32"],
      ["float32", "bfloat16"],
    ] as const) {
      using model = await randomModel(TINY, { moments: from });
      await train(model, 3);
      const file = join(folder, `${from}.optimizer.safetensors`);
      await model.saveOptimizer(file);
      using other = await randomModel(TINY, { moments: to });
      await other.loadOptimizer(file);
      for (const name of parameterNames(model))
        for (const slot of ["firstMoment", "secondMoment"] as const) {
          const expected = await model.native.readParameter(name, slot);
          expectIdentical(await other.native.readParameter(name, slot), to === "bfloat16" ? expected.map(roundToBfloat16) : expected, name);
        }
    }
  });

  test("it matters: without it the next step differs", async () => {
    using model = await randomModel();
    await train(model, 3);
    const dir = join(folder, "without");
    await model.save(dir);
    using again = await Model.load(dir, { device: "cpu" });
    await train(model, 1);
    await train(again, 1);
    const name = "model.norm.weight";
    expect(await again.native.readParameter(name, "value")).not.toEqual(await model.native.readParameter(name, "value"));
  });
});

describe("broken folders are a clear error", () => {
  const copy = async (name: string, change: (dir: string) => void): Promise<string> => {
    const dir = join(folder, name);
    mkdirSync(dir, { recursive: true });
    for (const file of ["config.json", "model.safetensors"]) writeFileSync(join(dir, file), readFileSync(join(fixtureDir("qwen2_tied"), file)));
    change(dir);
    return dir;
  };
  const editHeader = (dir: string, edit: (text: string) => string) => {
    const file = join(dir, "model.safetensors");
    const bytes = readFileSync(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = Buffer.from(edit(bytes.toString("utf8", 8, 8 + length)));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(file, Buffer.concat([size, header, bytes.subarray(8 + length)]));
  };
  const editConfig = (dir: string, edit: (config: Record<string, unknown>) => void) => {
    const config = JSON.parse(readFileSync(join(dir, "config.json"), "utf8"));
    edit(config);
    writeFileSync(join(dir, "config.json"), JSON.stringify(config));
  };
  const truncate = (dir: string, keep: number) => writeFileSync(join(dir, "model.safetensors"), readFileSync(join(dir, "model.safetensors")).subarray(0, keep));

  const cases: [string, (dir: string) => void, RegExp][] = [
    ["no config.json", (dir) => rmSync(join(dir, "config.json")), /config\.json/],
    ["config.json is not JSON", (dir) => writeFileSync(join(dir, "config.json"), "{"), /config\.json|JSON/],
    ["another architecture", (dir) => editConfig(dir, (c) => Object.assign(c, { model_type: "gpt2", architectures: ["GPT2LMHeadModel"] })), /gpt2|GPT2/],
    ["no weights", (dir) => rmSync(join(dir, "model.safetensors")), /safetensors/],
    ["an empty file", (dir) => truncate(dir, 0), /safetensors/],
    ["a file cut in its header", (dir) => truncate(dir, 100), /safetensors/],
    ["a file cut in its data", (dir) => truncate(dir, 60000), /safetensors/],
    ["a header length that is absurd", (dir) => writeFileSync(join(dir, "model.safetensors"), Buffer.alloc(64, 0xff)), /safetensors/],
    ["a missing tensor", (dir) => editHeader(dir, (text) => text.replace("model.norm.weight", "model.norm.wright")), /model\.norm\.weight/],
    ["a tensor of another shape", (dir) => editHeader(dir, (text) => text.replace('"shape":[97,32]', '"shape":[32,97]')), /shape|\[97|97/],
    ["an unknown tensor type", (dir) => editHeader(dir, (text) => text.replace('"F32"', '"I64"')), /I64|type|dtype/],
    [
      "offsets beyond the file",
      (dir) => editHeader(dir, (text) => text.replace(/"data_offsets":\[(\d+),(\d+)\]/, '"data_offsets":[$1,99999999]')),
      /safetensors|offset|end/i,
    ],
    ["heads that do not divide", (dir) => editConfig(dir, (c) => Object.assign(c, { num_key_value_heads: 3 })), /head/i],
    ["a size of zero", (dir) => editConfig(dir, (c) => Object.assign(c, { hidden_size: 0 })), /hidden/i],
    ["an activation that is not silu", (dir) => editConfig(dir, (c) => Object.assign(c, { hidden_act: "gelu" })), /gelu|hidden_act/],
  ];
  for (const [title, change, message] of cases) {
    test(title, async () => {
      const dir = await copy(title.replaceAll(" ", "-"), change);
      const error = await errorOf(() => Model.load(dir, { device: "cpu" }));
      expect(error.message).toMatch(message);
      expect(error.code).toBeString();
    });
  }

  test("a folder that is not there", async () => {
    const error = await errorOf(() => Model.load(join(folder, "nowhere"), { device: "cpu" }));
    expect(error.message).toBe(`${join(folder, "nowhere")} is no model's directory: it has no config.json.`);
    expect(existsSync(join(folder, "nowhere"))).toBe(false);
  });

  test("an optimizer file of another model", async () => {
    using small = await randomModel();
    await train(small, 1);
    const file = join(folder, "small.optimizer.safetensors");
    await small.saveOptimizer(file);
    using other = await randomModel({ ...TINY, hiddenSize: 32 });
    expect((await errorOf(() => other.loadOptimizer(file))).message.length).toBeGreaterThan(20);
    expect((await errorOf(() => other.loadOptimizer(join(folder, "nothing-here")))).message).toContain("nothing-here");
  });

  test("saving into a path that is a file", async () => {
    using model = await randomModel();
    const file = join(folder, "a-file");
    writeFileSync(file, "");
    expect((await errorOf(() => model.save(join(file, "inside")))).message).toContain("a-file");
  });
});

test("a bfloat16 model saves its float32 masters", async () => {
  using exact = await randomModel(TINY, {}, 1);
  using model = await randomModel(TINY, { dtype: "bfloat16" }, 1);
  const dir = join(folder, "masters");
  await model.save(dir, { dtype: "float32" });
  const saved = readSafetensors(join(dir, "model.safetensors"));
  for (const [name, values] of await readAll(exact, "value")) expectClose(saved.get(name)?.values as Float32Array, values, 0, name);
});

function roundToBfloat16(value: number): number {
  const word = new Uint32Array(new Float32Array([value]).buffer);
  word[0] = (word[0] + 0x7fff + ((word[0] >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(word.buffer)[0];
}
