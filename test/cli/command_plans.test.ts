// Memory of the commands beside `train`: what their plans count, that every option named in a refusal would make it fit, and the refusal itself.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Choice, scoringWork, trainingWork, writingWork } from "../../ts/cli/command_plans.ts";
import { type Plannable, planModels, renderPlan, requireMemory } from "../../ts/cli/memory_plan.ts";
import { chooseDevice } from "../../ts/model.ts";
import type { ModelConfig } from "../../ts/model_config.ts";
import { tinyModel, tinyTask } from "../support/tasks.ts";
import { run } from "./support.ts";

setDefaultTimeout(120_000);
const model: ModelConfig = { vocabSize: 4000, hiddenSize: 256, intermediateSize: 768, numHiddenLayers: 6, numAttentionHeads: 4, numKeyValueHeads: 2 };
const training: Choice = { device: "cpu", dtype: "float32", moments: "float32", recompute: false, maxTokensPerBatch: 8192 };
const rows = { trained: { rows: 64, longest: 512 }, scored: { rows: 1000, longest: 512 } };

function refusal<C>(work: Plannable<C>, available: number): string {
  try {
    requireMemory(work, available);
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}

/** "--a 1 --b x --c" as an object. */
function optionsFrom(flags: string): Partial<Choice> {
  const found = flags.matchAll(/--(\S+)(?: ([^-\s]\S*))?/g);
  return Object.fromEntries(Array.from(found, ([, name, value]) => [name, value === undefined ? true : Number.isNaN(Number(value)) ? value : Number(value)]));
}

const kinds: Record<string, (choice: Choice) => Plannable<Choice>> = {
  "training with a reference": (c) => trainingWork(c, model, { ...rows, reference: model }),
  "training alone": (c) => trainingWork(c, model, rows),
  scoring: ({ device, dtype, maxTokensPerBatch }) => scoringWork({ device, dtype, maxTokensPerBatch }, model, model, rows.scored),
  writing: ({ device, dtype }) => writingWork({ device, dtype, slots: 256 }, model, { answers: 1000, promptTokens: 300, newTokens: 700 }),
  "writing and judging": ({ device, dtype, maxTokensPerBatch }) =>
    writingWork(
      { device, dtype, slots: 64, maxTokensPerBatch },
      model,
      { answers: Number.POSITIVE_INFINITY, promptTokens: 300, newTokens: 700 },
      { prm: model },
    ),
};

test("the plan is for the device that was asked for", () => {
  const devices = (["cpu", "cuda", "auto"] as const).map((device) => {
    const work = trainingWork({ ...training, device }, model, rows);
    return work.plan(work.config).device;
  });
  expect(devices).toEqual(["cpu", "cuda", chooseDevice("auto")]);
});

describe("what does not fit is refused, with options that would make it fit", () => {
  for (const [name, workOf] of Object.entries(kinds)) {
    test(name, () => {
      const whole = workOf(training);
      const totalWith = (options: Partial<Choice>) => whole.plan({ ...whole.config, ...options }).total;
      const total = totalWith({});
      expect(() => requireMemory(whole, total)).not.toThrow();
      let sets = 0;
      for (let share = 0.95; share > 0.003; share *= 0.95) {
        const text = refusal(whole, share * total);
        expect(text).toContain(renderPlan(whole.plan(whole.config), share * total));
        const advice = /It would fit with (.*)\. PRIMEKIT_MEMORY_CHECK=off/.exec(text)?.[1].split(", or with ") ?? [];
        if (advice.length === 0) expect(text).toContain("it takes a smaller model or more memory");
        for (const flags of advice) expect(totalWith(optionsFrom(flags))).toBeLessThanOrEqual(share * total);
        sets += Number(advice.length === 1 && Object.keys(optionsFrom(advice[0])).length > 1);
        // Each option in a set is needed: without it the others do not do.
        if (advice.length !== 1) continue;
        const options = optionsFrom(advice[0]);
        for (const name of Object.keys(options)) expect(totalWith({ ...options, [name]: whole.config[name as keyof Choice] })).toBeGreaterThan(share * total);
      }
      expect(sets).toBeGreaterThan(0);
    });
  }

  test("options that change nothing are not named", () => {
    const inHalf: Choice = { ...training, dtype: "bfloat16", moments: "bfloat16", recompute: true, maxTokensPerBatch: 300 };
    expect(refusal(kinds["training alone"](inHalf), 1000)).toContain("\n\nIt takes a smaller model or more memory.");
    expect(refusal(kinds["training alone"](training), 1000)).toContain(
      "Not even --dtype bfloat16 --moments bfloat16 --maxTokensPerBatch 256 --recompute would",
    );
  });
});

test("moments in bfloat16 are half as large, and nothing else changes", () => {
  const [whole, half] = (["float32", "bfloat16"] as const).map((moments) => kinds["training alone"](training).plan({ ...training, moments }).models[0].bytes);
  expect(half).toEqual({ ...whole, moments: whole.moments / 2 });
});

test("models that take turns on a GPU count one at a time, and wait in the host's memory without what can be made anew", () => {
  const use = (name: string, trainable: boolean) => ({
    name,
    model,
    options: { dtype: "bfloat16", trainable } as const,
    work: { trainTokens: trainable ? 99 : 0 },
  });
  const uses = [use("trained", true), use("frozen", false)];
  const [turns, together] = [planModels("cuda", uses, true), planModels("cuda", uses)];
  const [trained, frozen] = turns.models.map(({ bytes }) => bytes);
  const total = ({ scratch, ...own }: typeof trained) => Object.values(own).reduce((sum, bytes) => sum + bytes, scratch);
  expect(turns.total).toBe(total(trained));
  expect(together.total).toBe(total(trained) + total(frozen) - frozen.scratch);
  expect(turns.host).toBe(trained.weights + trained.moments + frozen.weights + frozen.rounded);
  expect(planModels("cpu", uses, true)).toEqual(planModels("cpu", uses));
});

describe("the commands", () => {
  const folder = mkdtempSync(join(tmpdir(), "primekit-plans-"));
  const giant = join(folder, "giant");
  const data = join(folder, "data.jsonl");
  beforeAll(async () => {
    const made = await tinyModel(1);
    await made.save(giant);
    made.close();
    await tinyTask().tokenizer.save(giant);
    const config = JSON.parse(readFileSync(join(giant, "config.json"), "utf8")) as Record<string, unknown>;
    // Wider and deeper than any machine has memory for; the weights are never looked at.
    const sizes = { hidden_size: 65536, intermediate_size: 262144, num_hidden_layers: 1000, num_attention_heads: 512, num_key_value_heads: 512, head_dim: 128 };
    const { layer_types: _, ...rest } = config;
    writeFileSync(join(giant, "config.json"), JSON.stringify({ ...rest, ...sizes }));
    const records = Array.from({ length: 20 }, (_, i) => ({
      question: `${i % 9}+1`,
      prompt: `${i % 9}+1`,
      response: "\\boxed{2}",
      answer: "#### 2",
      label: i % 2,
    }));
    writeFileSync(data, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
    writeFileSync(join(folder, "gsm8k-test.jsonl"), readFileSync(data));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const commands: [string, string[], RegExp][] = [
    ["sft", ["--model", giant, "--data", data, "--plain", "--mapping", "plain", "--runs", join(folder, "runs")], /^memory on the CPU +model$/m],
    ["prm train", ["--model", giant, "--ref", giant, "--data", data, "--runs", join(folder, "runs")], /^memory on the CPU +model +reference$/m],
    ["prm score", ["--phi", giant, "--ref", giant, "--in", data], /^memory on the CPU +PRM +reference$/m],
    ["eval", ["--model", giant, "--prm", giant, "--data", folder, "--out", join(folder, "out"), "--chatTemplate", "false"], /^memory on the CPU +model +PRM$/m],
    ["generate", ["--model", giant, "--prompt", "1+1"], /^memory on the CPU +model$/m],
  ];
  for (const [command, args, columns] of commands) {
    test(`${command} is refused before anything is loaded`, async () => {
      const { code, stderr, stdout } = await run([...command.split(" "), ...args], "ts/cli/bin.ts");
      expect([code, stdout], stderr).toEqual([1, ""]);
      expect(stderr).toMatch(/primekit: This run needs \d+\.\d\d GB of memory, but the CPU has .* available\.\n\nmemory on the CPU/);
      expect(stderr).toMatch(columns);
      expect(existsSync(join(folder, "runs"))).toBe(false);
    });
  }
});
