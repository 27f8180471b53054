// The PRM trainer: it learns from answers, steps, pairs and mixtures; resumes bit for bit; computes the reference once.
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PrmExample } from "../../ts/data/prm/example.ts";
import { cachedLogprobs, modelIdentity } from "../../ts/eval/logprob_cache.ts";
import type { Model } from "../../ts/model.ts";
import type { TrainEvent } from "../../ts/train/events.ts";
import { metricNames } from "../../ts/train/metrics.ts";
import { type PrmRunOptions, runPrm } from "../../ts/train/prm.ts";
import { type PrmConfigInput, parsePrmConfig } from "../../ts/train/prm_config.ts";
import { nextBatch, preparePrmData, totalSteps } from "../../ts/train/prm_data.ts";
import { tinyModel, tinyTask, weightsOf } from "../support/tasks.ts";
import { stopAt, temporaryRun, timelessMetrics } from "./support.ts";

setDefaultTimeout(60_000);
const { tokenizer } = tinyTask();
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** Two lines; a line is wrong when it holds a 7. Every prompt has four answers. */
function examples(n: number, labels: "answer" | "steps" | "both" = "answer"): PrmExample[] {
  return Array.from({ length: n }, (_, i) => {
    const digit = (k: number) => ((i * 7919 + k * 104729) >> 3) % 8;
    const wrong = [0, 1].map((k) => digit(k) === 7 || (i % 4 === 0 && k === i % 3));
    const steps = wrong.map((bad, k) => `${bad ? 7 : digit(k) % 7}+${k}\n`);
    const astray = wrong.map((_, k) => Number(!wrong.slice(0, k + 1).includes(true)));
    const bySteps = labels === "steps" || (labels === "both" && i % 2 === 0);
    const group = String(Math.floor(i / 4));
    return { id: `e${i}`, prompt: `${group}=`, steps, group, ...(bySteps ? { stepLabels: astray } : { label: astray[1] }) };
  });
}

async function setUp() {
  const model = await tinyModel(1);
  const { run, close } = await temporaryRun();
  cleanups.push(() => model.close(), close);
  return { model, run };
}

const CONFIG: PrmConfigInput = { beta: 0.5, lr: 1e-2, batchSize: 16, maxTokensPerBatch: 100, evalShare: 0.2, seed: 3 };
const start = (model: Model, options: Partial<PrmRunOptions> = {}) =>
  runPrm({ config: CONFIG, tokenizer, examples: examples(64), promptFormat: "text", model, ...options });

describe("runPrm", () => {
  for (const [name, config, data] of [
    ["ce on answers", { loss: "ce" }, examples(160)],
    ["dpo on groups", { loss: "dpo" }, examples(160)],
    ["bon_acc", { loss: "bon_acc" }, examples(160)],
    ["bon_rm", { loss: "bon_rm" }, examples(160)],
    ["labels of steps", {}, examples(160, "steps")],
    ["both, one in four by steps", { stepShare: 0.25 }, examples(160, "both")],
  ] as const) {
    test(`learns from ${name}: held-out answers are ranked`, async () => {
      const { model } = await setUp();
      const result = await start(model, { config: { ...CONFIG, ...config, epochs: 8, maxTokensPerBatch: 8192 }, examples: data });
      expect(result.before?.["eval/prmAuc"]).toBe(0.5); // the PRM is the reference
      expect(result.after?.["eval/prmAuc"]).toBeGreaterThan(0.95);
      expect(result.after?.["eval/prmMargin"]).toBeGreaterThan(0.5);
      expect(result).toMatchObject({ stopped: false, step: 64, rows: 64 * 16, skippedUpdates: 0 });
      if (data[0].stepLabels) expect(result.after?.["eval/prmStepAuc"]).toBeGreaterThan(0.95);
    });
  }

  test("writes metrics and events, with names from the table only", async () => {
    const { model, run } = await setUp();
    const events: TrainEvent[] = [];
    await start(model, { run, config: { ...CONFIG, steps: 5, evalEvery: 2, saveEvery: 3 }, onEvent: (event) => events.push(event) });
    const rows = await run.readMetrics();
    expect(rows.filter((row) => "prm/loss" in row).map((row) => row.step)).toEqual([1, 2, 3, 4, 5]);
    expect(rows.filter((row) => "eval/prmAuc" in row).map((row) => row.step)).toEqual([0, 2, 4, 5]);
    for (const row of rows) for (const name of Object.keys(row)) expect(metricNames).toHaveProperty([name]);
    expect(events.filter((event) => event.type === "checkpoint").map((event) => event.step)).toEqual([3, 5]);
  });

  test("resumed after any stop: the same weights and metrics as in one go", async () => {
    const config = { ...CONFIG, steps: 6, evalEvery: 2 };
    const data = examples(64, "both");
    const whole = await setUp();
    await start(whole.model, { run: whole.run, config, examples: data });
    for (const stop of [1, 3, 6]) {
      const { model, run } = await setUp();
      const { signal, onEvent } = stopAt<TrainEvent>(stop, (event) => event.type === "step");
      expect((await start(model, { run, config, examples: data, signal, onEvent })).stopped).toBe(true);
      const again = await tinyModel(1); // the reference is the initial model, computed anew
      cleanups.push(() => again.close());
      expect((await start(again, { run, config, examples: data, resume: await run.newestCheckpoint() })).stopped).toBe(false);
      expect(await weightsOf(again)).toEqual(await weightsOf(whole.model));
      expect(await timelessMetrics(run)).toEqual(await timelessMetrics(whole.run));
    }
  });

  test("an abort before the reference is there leaves the run as it was", async () => {
    const { model, run } = await setUp();
    await start(model, { run, config: { ...CONFIG, steps: 2 } });
    const before = readdirSync(join(run.dir, "checkpoints"));
    const { signal, onEvent } = stopAt<TrainEvent>(1, (event) => event.type === "phase");
    const result = await start(model, { run, config: { ...CONFIG, steps: 4 }, signal, onEvent, resume: await run.newestCheckpoint() });
    expect(result.stopped).toBe(true);
    expect(readdirSync(join(run.dir, "checkpoints"))).toEqual(before);
  });

  test("a frozen reference of its own, and a warning for answers that were cut", async () => {
    const { model } = await setUp();
    const reference = await tinyModel(2);
    cleanups.push(() => reference.close());
    const warnings: string[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event.message));
    const result = await start(model, { reference, config: { ...CONFIG, steps: 1, maxLength: 9, truncate: true }, onEvent });
    expect(result.before?.["eval/prmAuc"]).not.toBe(0.5);
    expect(warnings).toEqual(["64 answers were cut to 9 tokens."]);
    await expect(start(model, { config: { ...CONFIG, maxLength: 9 } })).rejects.toThrow("but the limit is 9");
  });

  test("refuses what cannot be trained on", async () => {
    const { model } = await setUp();
    await expect(start(model, { examples: [] })).rejects.toThrow("There is no example to train on");
    await expect(start(model, { examples: [{ id: "x", prompt: "1", steps: ["2"], group: "g" }] })).rejects.toThrow("x: there is no label");
    const uniform = examples(8).map((example) => ({ ...example, label: 1 }));
    await expect(start(model, { examples: uniform, config: { ...CONFIG, loss: "dpo" } })).rejects.toThrow("No prompt has two answers with different labels");
    expect(() => parsePrmConfig({ bta: 1 } as never)).toThrow("Did you mean beta?");
    expect(() => parsePrmConfig({ loss: "dpo", batchSize: 1 })).toThrow("batchSize must be at least 2");
    await expect(start(model, { resume: { step: 1, dir: "/nowhere", state: {} } })).rejects.toThrow("holds no state of a PRM run");
  });
});

describe("batches", () => {
  const prepare = (config: PrmConfigInput, data: PrmExample[]) => {
    const full = parsePrmConfig({ ...CONFIG, ...config });
    return { config: full, data: preparePrmData(tokenizer, data, { ...full, promptFormat: "text" }) };
  };

  test("the chosen share has labels of steps; every pass visits every row once", () => {
    const { config, data } = prepare({ stepShare: 0.25, evalShare: 0 }, examples(64, "both"));
    let cursor = { answers: 0, steps: 0 };
    const seen: number[] = [];
    for (let step = 0; step < 8; step++) {
      const batch = nextBatch(data, cursor, config);
      expect(batch.rows.map((row) => Number(data.rows[row].steps !== undefined))).toEqual([...Array(12).fill(0), ...Array(4).fill(1)]);
      seen.push(...batch.rows.slice(12));
      cursor = batch.cursor;
    }
    expect(new Set(seen).size).toBe(32);
  });

  test("losses that compare answers get whole groups; held-out prompts are never trained on", () => {
    const { config, data } = prepare({ loss: "dpo", batchSize: 10 }, examples(80));
    expect(data.rows.length - data.trained).toBe(16);
    const trained = new Set<number>();
    let cursor = { answers: 0, steps: 0 };
    for (let step = 0; step < 6; step++) {
      const batch = nextBatch(data, cursor, config);
      expect(batch.rows).toHaveLength(12); // three groups of four
      for (const row of batch.rows) trained.add(data.rows[row].group);
      cursor = batch.cursor;
    }
    expect(trained.size).toBe(16);
    for (const row of data.rows.slice(data.trained)) expect(trained.has(row.group)).toBe(false);
    expect(totalSteps(data, parsePrmConfig({ epochs: 2, batchSize: 16 }))).toBe(8);
  });
});

describe("the reference's log-probs", () => {
  test("are computed once and read afterwards; a damaged file is computed again, and said", async () => {
    const { model } = await setUp();
    const dir = mkdtempSync(join(tmpdir(), "primekit-reference-"));
    cleanups.push(() => rmSync(dir, { recursive: true }));
    const { rows } = preparePrmData(tokenizer, examples(600), { ...parsePrmConfig(CONFIG), promptFormat: "text" });
    let calls = 0;
    const logprobs = (...args: Parameters<Model["logprobs"]>) => {
      calls++;
      return model.logprobs(...args);
    };
    const counted = { dtype: model.dtype, logprobs };
    const warnings: string[] = [];
    const get = (modelId: string, some = rows) =>
      cachedLogprobs(counted, some, { maxTokensPerBatch: 100_000, cache: { dir, modelId }, onWarning: (message) => warnings.push(message) });
    const first = await get("a");
    expect([calls, readdirSync(dir).length]).toEqual([3, 3]); // three blocks
    expect(await get("a")).toEqual(first);
    expect(calls).toBe(3);
    await get("b");
    expect(calls).toBe(6); // another model
    await get("a", rows.slice(0, 512));
    expect(calls).toBe(6); // the first blocks are there
    const file = join(dir, readdirSync(dir).sort()[0]);
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(file, bytes);
    expect([await get("a"), await get("b")]).toEqual([first, first]);
    expect([calls, warnings.length]).toEqual([7, 1]);
    expect(warnings[0]).toContain("are damaged; they are computed again");
  });

  test("a model's identity is its configuration and weights", async () => {
    const { model } = await setUp();
    const other = await tinyModel(2);
    const root = mkdtempSync(join(tmpdir(), "primekit-identity-"));
    cleanups.push(
      () => other.close(),
      () => rmSync(root, { recursive: true }),
    );
    await model.save(join(root, "a"));
    await model.save(join(root, "b"));
    await other.save(join(root, "c"));
    const [a, b, c] = await Promise.all(["a", "b", "c"].map((name) => modelIdentity(join(root, name))));
    expect(a).toBe(b);
    expect(a).not.toBe(c);
    await expect(modelIdentity(join(root, "d"))).rejects.toThrow("it does not exist");
  });

  test("a run's cache survives the run", async () => {
    const { model, run } = await setUp();
    const referenceCache = { dir: join(run.dir, "..", ".reference"), modelId: "m" };
    await start(model, { run, referenceCache, config: { ...CONFIG, steps: 1 } });
    const files = readdirSync(referenceCache.dir);
    expect(files).toHaveLength(1);
    const again = await setUp();
    const warnings: TrainEvent[] = [];
    const onEvent = (event: TrainEvent) => void (event.type === "warning" && warnings.push(event));
    writeFileSync(join(referenceCache.dir, files[0]), "not it");
    await start(again.model, { run: again.run, referenceCache, config: { ...CONFIG, steps: 1 }, onEvent }); // it is looked at: the damage is seen
    expect(warnings).toHaveLength(1);
  });
});
