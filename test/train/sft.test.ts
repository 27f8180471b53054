import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Model } from "../../ts/model.ts";
import type { TrainEvent } from "../../ts/train/events.ts";
import { metricNames } from "../../ts/train/metrics.ts";
import { runSft } from "../../ts/train/sft.ts";
import { gradedBy, tinyModel, tinyTask, weightsOf } from "../support/tasks.ts";
import { stopAt, temporaryRun, timelessMetrics } from "./support.ts";

setDefaultTimeout(60_000);
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function setUp(seed = 1): Promise<{ model: Model; run: Awaited<ReturnType<typeof temporaryRun>>["run"] }> {
  const model = await tinyModel(seed);
  const { run, close } = await temporaryRun();
  cleanups.push(() => model.close(), close);
  return { model, run };
}

const task = tinyTask(gradedBy(({ response, answer }) => Number(response === `=${answer[1]}`)));
const CONFIG = { steps: 12, batchSize: 8, lr: 1e-2, warmupSteps: 2, maxNewTokens: 4, evalEvery: 5, saveEvery: 4, maxTokensPerBatch: 20 };

describe("runSft", () => {
  test("learns the demonstrations: held-out accuracy from 0 to 1", async () => {
    const { model } = await setUp();
    const result = await runSft({ task, model, config: { ...CONFIG, steps: 200, batchSize: 32, maxTokensPerBatch: 1000, evalEvery: 0 } });
    expect(result.accuracyBefore).toBe(0);
    expect(result.accuracyAfter).toBe(1);
    expect(result).toMatchObject({ stopped: false, step: 200, skippedUpdates: 0, tokens: 200 * 32 * 3 });
  });

  test("the loss does not depend on the micro-batches", async () => {
    const losses = [];
    for (const maxTokensPerBatch of [1, 1000]) {
      const { model } = await setUp();
      losses.push((await runSft({ task, model, config: { ...CONFIG, steps: 3, evalProblems: 1, maxTokensPerBatch } })).loss as number);
    }
    expect(losses[0]).toBeCloseTo(losses[1], 4);
  });

  test("writes a row per step and per evaluation, with names from the table only", async () => {
    const { model, run } = await setUp();
    const events: TrainEvent[] = [];
    await runSft({ task, model, run, config: CONFIG, onEvent: (event) => events.push(event) });
    const rows = await run.readMetrics();
    expect(rows.filter((row) => "sft/loss" in row).map((row) => row.step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    expect(rows.filter((row) => "eval/accuracy" in row).map((row) => row.step)).toEqual([0, 5, 10, 12]);
    for (const row of rows) for (const name of Object.keys(row)) expect(metricNames).toHaveProperty([name]);
    expect(events.filter((event) => event.type === "checkpoint").map((event) => event.step)).toEqual([4, 8, 12]);
    expect(events.filter((event) => event.type === "step")).toHaveLength(12);
  });

  test("stopAccuracy ends training at the first evaluation that reaches it", async () => {
    const { model } = await setUp();
    const always = tinyTask(gradedBy(() => 1));
    const result = await runSft({ task: always, model, config: { ...CONFIG, stopAccuracy: 0.9 } });
    expect(result).toMatchObject({ step: 5, stopped: false, accuracyAfter: 1 });
  });

  test("without held-out problems there is no held-out accuracy", async () => {
    const { model, run } = await setUp();
    const events: string[] = [];
    const onEvent = ({ type }: TrainEvent) => events.push(type);
    const result = await runSft({ task: { ...task, heldOut: [] }, model, run, config: { ...CONFIG, steps: 1 }, onEvent });
    expect(events).not.toContain("eval");
    expect(result).toMatchObject({ stopped: false, accuracyBefore: undefined, accuracyAfter: undefined });
    expect((await run.readMetrics()).some((row) => "eval/accuracy" in row)).toBe(false);
  });

  test("starts AdamW afresh, whatever the model went through before", async () => {
    const weights = [];
    for (const wasTrained of [false, true]) {
      const { model } = await setUp();
      const start = await model.clone();
      if (wasTrained) await runSft({ task, model, config: CONFIG });
      await model.copyFrom(start);
      start.close();
      await runSft({ task, model, config: CONFIG });
      weights.push(await weightsOf(model));
    }
    expect(weights[0]).toEqual(weights[1]);
  });

  const stops: [string, number, (event: TrainEvent) => boolean][] = [
    ["after a step", 7, (event) => event.type === "step"],
    ["during an evaluation", 2, (event) => event.type === "phase" && event.phase === "eval" && event.done === undefined],
    ["during a save", 1, (event) => event.type === "phase" && event.phase === "save"],
    ["before anything", 1, (event) => event.type === "phase"],
  ];
  for (const [when, n, matches] of stops) {
    test(`stopped ${when} and resumed: metrics and weights as if unbroken`, async () => {
      const whole = await setUp();
      const unbroken = await runSft({ task, model: whole.model, run: whole.run, config: CONFIG });

      const first = await setUp();
      const half = await runSft({ task, model: first.model, run: first.run, config: CONFIG, ...stopAt(n, matches) });
      expect(half.stopped).toBe(true);
      expect(half.step).toBeLessThan(12);
      const second = await setUp(2); // other weights: everything must come from the checkpoint
      const resumed = await runSft({ task, model: second.model, run: first.run, resume: await first.run.newestCheckpoint(), config: CONFIG });

      expect(await weightsOf(second.model)).toEqual(await weightsOf(whole.model));
      expect(await timelessMetrics(first.run)).toEqual(await timelessMetrics(whole.run));
      expect({ ...resumed, seconds: {} }).toEqual({ ...unbroken, seconds: {} });
    });
  }

  test("a checkpoint of something else is refused", async () => {
    const { model } = await setUp();
    const resume = { step: 3, dir: "elsewhere", state: { version: 1, step: 4 } };
    await expect(runSft({ task, model, resume, config: CONFIG })).rejects.toMatchObject({ code: "ERR_CHECKPOINT" });
  });

  test("three non-finite updates in a row stop with a clear error", async () => {
    const { model } = await setUp();
    const [{ name, shape }] = model.native.parameters();
    await model.native.writeParameter(name, new Float32Array(shape[0] * (shape[1] ?? 1)).fill(Number.NaN));
    await expect(runSft({ task, model, config: { ...CONFIG, evalProblems: 1 } })).rejects.toMatchObject({ code: "ERR_NON_FINITE" });
  });
});
