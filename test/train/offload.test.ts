// --offload: where the models are while a run goes on, and that it changes nothing else. Bits on a GPU: test/native/cuda/offload_test.cpp.
import { afterEach, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { Model } from "../../ts/model.ts";
import type { PrimeConfigInput } from "../../ts/train/config.ts";
import { runPrime } from "../../ts/train/prime.ts";
import { tinyModel, tinyTask, weightsOf } from "../support/tasks.ts";
import { temporaryRun, timelessMetrics } from "./support.ts";

setDefaultTimeout(60_000);
const spies: { mockRestore: () => void }[] = [];
afterEach(() => {
  for (const spy of spies.splice(0)) spy.mockRestore();
});

const CONFIG: PrimeConfigInput = {
  steps: 3,
  promptsPerStep: 4,
  samplesPerPrompt: 4,
  maxNewTokens: 6,
  lr: 1e-2,
  prmLr: 1e-2,
  klCoef: 0.1,
  evalEvery: 1,
  evalProblems: 6,
  saveEvery: 1,
  sampleAnswers: 2,
};

/** Calls that bring a model to the device. */
const USES = ["generate", "logprobs", "forwardBackward", "step", "copyFrom", "save", "saveOptimizer", "loadOptimizer", "resetOptimizer"] as const;

/** Which models are on the device, from the calls that move them; `onUse` sees every use, with those that are there by then. */
function watch(onUse: (method: string, model: Model, present: ReadonlySet<Model>) => void): void {
  const present = new Set<Model>();
  for (const method of USES) {
    const original = Model.prototype[method] as (this: Model, ...args: unknown[]) => Promise<unknown>;
    const spy = spyOn(Model.prototype, method).mockImplementation(function (this: Model, ...args: unknown[]) {
      present.add(this);
      onUse(method, this, present);
      return original.apply(this, args);
    } as never);
    spies.push(spy);
  }
  const offload = Model.prototype.offload;
  spies.push(
    spyOn(Model.prototype, "offload").mockImplementation(async function (this: Model) {
      await offload.call(this);
      present.delete(this);
    }),
  );
  const close = Model.prototype.close;
  spies.push(
    spyOn(Model.prototype, "close").mockImplementation(function (this: Model) {
      present.delete(this);
      close.call(this);
    }),
  );
}

async function train(offload: boolean) {
  using policy = await tinyModel(1);
  const { run, close } = await temporaryRun();
  const result = await runPrime({ config: { ...CONFIG, offload }, task: tinyTask(), policy, run });
  const outcome = { weights: await weightsOf(policy), metrics: await timelessMetrics(run), answers: result.answers };
  await close();
  return outcome;
}

test("the models take turns: whoever is used is there alone, on a fresh start and on a resumed one", async () => {
  const seen: { method: string; others: number }[] = [];
  watch((method, model, present) => seen.push({ method, others: [...present].filter((other) => other !== model).length }));
  const { run, close } = await temporaryRun();
  for (const steps of [3, 4]) {
    using policy = await tinyModel(1);
    const resume = await run.newestCheckpoint();
    await runPrime({ config: { ...CONFIG, steps, offload: true }, task: tinyTask(), policy, run, resume });
  }
  await close();
  expect(new Set(seen.map(({ method }) => method)).size).toBe(USES.length);
  const working = seen.filter(({ method }) => method !== "copyFrom" && method !== "resetOptimizer"); // at the start, one is a copy of the other
  expect(working.filter(({ others }) => others > 0)).toEqual([]);
});

test("without it nothing is moved", async () => {
  let moved = 0;
  spies.push(spyOn(Model.prototype, "offload").mockImplementation(async () => void moved++));
  await train(false);
  expect(moved).toBe(0);
});

test("the run is the same, bit for bit", async () => {
  const [away, here] = [await train(true), await train(false)];
  expect(away).toEqual(here);
});

test("on the CPU a model stays as it is", async () => {
  using model = await tinyModel(1);
  await model.forwardBackward({ tokens: Int32Array.of(1, 2, 3), offsets: Int32Array.of(0, 3) }, ({ logprobs }) => ({ dLogprobs: logprobs }));
  const before = model.native.memoryBytes();
  await model.offload();
  await model.trim();
  expect(model.native.memoryBytes()).toEqual(before);
  expect(before.pinned).toBe(0);
  await model.restore();
});
