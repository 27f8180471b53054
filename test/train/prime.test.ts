import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Algorithm, algorithms } from "../../ts/algo/estimators.ts";
import type { Task } from "../../ts/data/task.ts";
import { Model } from "../../ts/model.ts";
import type { PrimeConfigInput } from "../../ts/train/config.ts";
import type { TrainEvent } from "../../ts/train/events.ts";
import { type MetricValues, metricNames } from "../../ts/train/metrics.ts";
import { runPrime } from "../../ts/train/prime.ts";
import { digits, gradedBy, tinyModel, tinyTask, weightsOf } from "../support/tasks.ts";
import { stopAt, temporaryRun, timelessMetrics } from "./support.ts";

setDefaultTimeout(60_000);
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function makeModel(seed = 1): Promise<Model> {
  const model = await tinyModel(seed);
  cleanups.push(() => model.close());
  return model;
}

async function makeRun() {
  const { run, close } = await temporaryRun();
  cleanups.push(close);
  return run;
}

const CONFIG = {
  steps: 4,
  promptsPerStep: 4,
  samplesPerPrompt: 4,
  maxNewTokens: 6,
  lr: 1e-2,
  prmLr: 1e-2,
  maxTokensPerBatch: 60,
  evalEvery: 2,
  evalProblems: 6,
  saveEvery: 2,
  rolloutsEvery: 2,
  sampleAnswers: 2,
} satisfies PrimeConfigInput;

/** Runs and returns the metrics of every step, the weights at the end and the result. */
async function train(config: PrimeConfigInput, task: Task = tinyTask()) {
  const policy = await makeModel();
  const steps: MetricValues[] = [];
  const result = await runPrime({ config: { ...CONFIG, ...config }, task, policy, onEvent: (event) => event.type === "step" && steps.push(event.metrics) });
  return { result, steps, weights: await weightsOf(policy) };
}

describe("every algorithm", () => {
  for (const algo of Object.keys(algorithms) as Algorithm[]) {
    test(`${algo}: trains, reports finite values under known names, and makes a PRM only if it uses one`, async () => {
      const before = await weightsOf(await makeModel());
      const { steps, weights, result } = await train({ algo });
      expect(steps).toHaveLength(4);
      for (const metrics of steps) {
        for (const [name, value] of Object.entries(metrics)) {
          expect(metricNames).toHaveProperty([name]);
          expect(Number.isFinite(value)).toBe(true);
        }
        expect("prm/loss" in metrics).toBe(algorithms[algo].process);
        expect("time/prm" in metrics).toBe(algorithms[algo].process);
        expect("time/score" in metrics).toBe(algorithms[algo].process);
        expect(metrics["policy/ratioMax"]).toBeCloseTo(1, 4); // one update per batch: generation's log-probs are those of the forward pass
      }
      expect(weights).not.toEqual(before);
      expect(result).toMatchObject({ stopped: false, step: 4, skippedUpdates: 0 });
      expect(result.answers).toHaveLength(2);
      expect(result.answers[0].processScore !== undefined).toBe(algorithms[algo].process);
    });
  }
});

describe("learning", () => {
  // Answers are right when they start with an even digit: at random weights one in eight is.
  const task = tinyTask(gradedBy(({ response }) => Number(/^[02468]/.test(response))));
  for (const algo of ["rloo", "prime", "grpo"] as const) {
    test(`${algo} raises the share of right answers`, async () => {
      const { steps, result } = await train(
        {
          algo,
          steps: 40,
          promptsPerStep: 8,
          samplesPerPrompt: 8,
          filterLow: 0.01,
          filterHigh: 0.99,
          normalizeProcess: "std",
          processCoef: 0.2,
          maxTokensPerBatch: 2000,
          evalEvery: 0,
        },
        task,
      );
      expect(steps[0]["rollout/accuracy"]).toBeLessThan(0.3);
      expect(steps[39]["rollout/accuracy"]).toBeGreaterThan(0.8);
      if (algo === "prime") expect(result.pairAccuracy).toBeGreaterThan(0.6);
    });
  }
});

describe("options", () => {
  test("prmUpdate none leaves the PRM's rewards at 0 (PRM and reference are the same model); before and after do not", async () => {
    const none = await train({ prmUpdate: "none" });
    for (const metrics of none.steps) expect(metrics).toMatchObject({ "reward/process": 0, "prm/pairAccuracy": 0.5 });
    const after = await train({ prmUpdate: "after" });
    expect(after.steps[0]["reward/process"]).toBe(0); // the first scores are from before the first update
    expect(after.steps[1]["reward/process"]).not.toBe(0);
    const before = await train({ prmUpdate: "before" });
    expect(before.steps[0]["reward/process"]).not.toBe(0);
    expect(before.steps[0]["prm/pairAccuracy"]).toBe(0.5);
    expect(before.steps[0]["prm/pairAccuracyUsed"]).toBeGreaterThan(0.5);
  });

  test("a warm-up that freezes leaves the policy alone while the PRM learns; one that does not equals RLOO", async () => {
    const start = await weightsOf(await makeModel());
    const frozen = await train({ prmWarmupSteps: 4, prmWarmup: "freeze" });
    expect(frozen.weights).toEqual(start);
    expect(frozen.steps.map((metrics) => [metrics["rollout/draws"], metrics["policy/rows"], metrics["prm/weight"]])).toEqual(new Array(4).fill([1, 0, 0]));
    expect(frozen.steps[3]["prm/loss"]).not.toBe(frozen.steps[0]["prm/loss"]);
    const outcome = await train({ prmWarmupSteps: 4, prmWarmup: "outcome" });
    const rloo = await train({ algo: "rloo" });
    expect(outcome.weights).toEqual(rloo.weights);
  });

  test("prmData all trains on dropped groups too", async () => {
    const rows = async (prmData: "kept" | "all") => (await train({ prmData, steps: 1 })).steps[0];
    const kept = await rows("kept");
    const all = await rows("all");
    expect(kept["prm/rows"]).toBe(4 * (kept["rollout/kept"] as number));
    expect(all["prm/rows"]).toBe(4 * (all["rollout/prompts"] as number));
    expect(all["prm/rows"]).toBeGreaterThan(kept["prm/rows"] as number);
  });

  test("processWeight accuracy: no weight at chance, more as the running accuracy grows", async () => {
    const { steps } = await train({ processWeight: "accuracy", prmUpdate: "none" });
    for (const metrics of steps) expect(metrics).toMatchObject({ "prm/weight": 0, "prm/pairAccuracyRunning": 0.5 });
    const learning = await train({ processWeight: "accuracy", pairAccuracyDecay: 0, prmEpochs: 3 });
    for (const metrics of learning.steps) {
      expect(metrics["prm/weight"]).toBeCloseTo(Math.max(0, 2 * (metrics["prm/pairAccuracy"] as number) - 1), 10);
    }
  });

  test("maskTruncated leaves truncated answers out of the update", async () => {
    const { steps } = await train({ maskTruncated: true, maxNewTokens: 2 });
    for (const metrics of steps) expect(metrics["policy/rows"]).toBeLessThan(16);
    expect(steps[0]["rollout/truncated"]).toBeGreaterThan(0.5);
  });

  test("recomputed log-probs give the same run within rounding", async () => {
    const generated = await train({ steps: 2 });
    const recomputed = await train({ steps: 2, oldLogprobs: "recompute" });
    expect(recomputed.steps[1]["policy/loss"]).toBeCloseTo(generated.steps[1]["policy/loss"] as number, 3);
    expect(recomputed.steps[0]["policy/ratioMax"]).toBeCloseTo(1, 6);
  });

  test("the sampling policy as reference: the first scores differ from 0 only by rounding", async () => {
    const { steps } = await train({ reference: "policy", prmUpdate: "none", steps: 1, klCoef: 0 });
    expect(Math.abs(steps[0]["reward/process"] as number)).toBeLessThan(1e-4);
  });

  test("the sampling temperature is the policy's alone: an untrained PRM equals either reference at any temperature", async () => {
    for (const reference of ["sft", "policy"] as const)
      for (const prmUpdate of ["none", "after", "before"] as const) {
        const { steps } = await train({ temperature: 0.5, reference, prmUpdate, prmLr: 1e-12, lr: 1e-12, steps: 1 });
        expect(Math.abs(steps[0]["reward/process"] as number)).toBeLessThan(1e-5);
      }
  });

  test("the KL term holds the policy near the reference", async () => {
    const drift = async (klCoef: number) => {
      const { weights } = await train({ algo: "rloo", klCoef, steps: 6, policyEpochs: 2 });
      const start = await weightsOf(await makeModel());
      return weights.reduce((sum, x, i) => sum + (x - start[i]) ** 2, 0);
    };
    expect(await drift(100)).toBeLessThan(await drift(0));
  });
});

describe("draws", () => {
  test("without a filter every draw is used: no answer is thrown away", async () => {
    const { steps } = await train({ algo: "rloo", filterLow: 0, filterHigh: 1 });
    for (const metrics of steps) expect(metrics).toMatchObject({ "rollout/prompts": 4, "rollout/kept": 4, "rollout/surplus": 0 });
  });

  test("without held-out problems there is no held-out accuracy", async () => {
    const { result } = await train({ algo: "rloo", steps: 1 }, { ...tinyTask(), heldOut: [] });
    expect(result).toMatchObject({ stopped: false, accuracyBefore: undefined, accuracyAfter: undefined });
  });

  test("prompts advance: none is drawn again unless it passed the filter and found no place", async () => {
    const drawn: number[] = [];
    const source = (index: number) => {
      drawn.push(index);
      return digits(index);
    };
    const { steps } = await train({ algo: "rloo" }, tinyTask(undefined, source));
    const surplus = steps.slice(0, -1).reduce((sum, metrics) => sum + (metrics["rollout/surplus"] as number), 0);
    expect(drawn.length - new Set(drawn).size).toBe(surplus);
    expect(Math.max(...drawn)).toBe(new Set(drawn).size - 1);
  });

  test("the same prompt and policy give other answers in another step and draw", async () => {
    const batches: string[] = [];
    const verifier = {
      name: "recording",
      verify: async (items: readonly { response: string }[]) => {
        batches.push(items.map((item) => item.response).join("|"));
        return items.map(() => ({ score: 0, outcome: "wrong" as const, extracted: undefined, reason: "never right" }));
      },
    };
    const source = () => digits(0);
    await train({ algo: "rloo", steps: 2, maxDraws: 2, evalProblems: 1, sampleAnswers: 0 }, { ...tinyTask(verifier, source), heldOut: [] });
    const drawn = batches.filter((batch) => batch.length > 0);
    expect(drawn).toHaveLength(4);
    const first = drawn.map((batch) => batch.split("|").slice(0, 16).join("|"));
    expect(new Set(first).size).toBe(4);
  });

  test("a stop cuts generation short: its answers are not even verified", async () => {
    let verified = 0;
    const verifier = gradedBy(() => {
      verified++;
      return 1;
    });
    const stop = stopAt(1, (event: TrainEvent) => event.type === "phase" && event.phase === "rollout");
    const result = await runPrime({ config: CONFIG, task: { ...tinyTask(verifier), heldOut: [] }, policy: await makeModel(), ...stop });
    expect(result).toMatchObject({ stopped: true, step: 0 });
    expect(verified).toBe(0);
  });

  test("starts AdamW afresh, whatever the policy went through before", async () => {
    const weights = [];
    for (const wasTrained of [false, true]) {
      const policy = await makeModel();
      const start = await makeModel();
      if (wasTrained) await runPrime({ config: CONFIG, task: tinyTask(), policy });
      await policy.copyFrom(start);
      await runPrime({ config: CONFIG, task: tinyTask(), policy });
      weights.push(await weightsOf(policy));
    }
    expect(weights[0]).toEqual(weights[1]);
  });
});

describe("what goes wrong does not stop the run", () => {
  test("no prompt passes the filter: nothing is trained on, a warning says so", async () => {
    const warnings: string[] = [];
    const policy = await makeModel();
    const start = await weightsOf(policy);
    const onEvent = (event: TrainEvent) => event.type === "warning" && warnings.push(event.message);
    const result = await runPrime({ config: { ...CONFIG, maxDraws: 2, prmData: "kept" }, task: tinyTask(gradedBy(() => 0)), policy, onEvent });
    expect(result.step).toBe(4);
    expect(await weightsOf(policy)).toEqual(start);
    expect(warnings).toHaveLength(4);
    expect(warnings[0]).toMatch(/^None of the \d+ prompts drawn passed the filter/);
  });

  test("verifier failures drop their groups, are counted, and are reported with the reason", async () => {
    const verifier = gradedBy(({ prompt, response }) =>
      prompt.startsWith("1") ? { score: 0, outcome: "error", extracted: undefined, reason: "it broke" } : response.length % 2,
    );
    const warnings: string[] = [];
    const steps: MetricValues[] = [];
    const onEvent = (event: TrainEvent) => {
      if (event.type === "warning") warnings.push(event.message);
      if (event.type === "step") steps.push(event.metrics);
    };
    await runPrime({ config: { ...CONFIG, steps: 1, promptsPerStep: 8 }, task: tinyTask(verifier), policy: await makeModel(), onEvent });
    expect(steps[0]["verifier/errors"]).toBeGreaterThan(0);
    expect(steps[0]["prm/rows"]).toBe(4 * (steps[0]["rollout/prompts"] as number) - (steps[0]["verifier/errors"] as number));
    expect(warnings.join()).toContain("it broke");
  });

  test("weights that are not finite stop it with ERR_NON_FINITE", async () => {
    const policy = await makeModel();
    const prm = await makeModel();
    const [{ name, shape }] = prm.native.parameters();
    await prm.native.writeParameter(name, new Float32Array(shape[0] * (shape[1] ?? 1)).fill(Number.NaN));
    await expect(runPrime({ config: CONFIG, task: tinyTask(), policy, prm })).rejects.toMatchObject({ code: "ERR_NON_FINITE" });
  });

  test("an error of the task is not taken for a stop, also when the signal fires with it", async () => {
    const stop = new AbortController();
    const source = (index: number) => {
      if (index > 5) {
        stop.abort();
        throw new Error("no more problems");
      }
      return digits(index);
    };
    const run = runPrime({ config: CONFIG, task: tinyTask(undefined, source), policy: await makeModel(), signal: stop.signal });
    await expect(run).rejects.toThrow("no more problems");
  });
});

describe("reproducible and resumable", () => {
  const BUSY = { prmMinibatches: 2, policyMinibatches: 2, prmUpdate: "after", processWeight: "accuracy", warmupSteps: 2, decay: "cosine" } as const;

  async function unbroken() {
    const policy = await makeModel();
    const run = await makeRun();
    const result = await runPrime({ config: { ...CONFIG, ...BUSY }, task: tinyTask(), policy, run });
    return { result, run, weights: await weightsOf(policy), metrics: await timelessMetrics(run) };
  }

  test("equal runs are bit-identical; another seed is not", async () => {
    const first = await unbroken();
    const second = await unbroken();
    expect(second.weights).toEqual(first.weights);
    expect(second.metrics).toEqual(first.metrics);
    const other = await train({ ...BUSY, seed: 2 });
    expect(other.weights).not.toEqual(first.weights);
  });

  test("the run folder holds a row per step and evaluation, rollouts and loadable checkpoints", async () => {
    const { run, metrics, weights } = await unbroken();
    expect(metrics.filter((row) => "policy/loss" in row).map((row) => row.step)).toEqual([1, 2, 3, 4]);
    expect(metrics.filter((row) => "eval/accuracy" in row).map((row) => row.step)).toEqual([0, 2, 4]);
    expect(readdirSync(join(run.dir, "rollouts")).sort()).toEqual(["step-000002.jsonl", "step-000004.jsonl"]);
    const last = join(run.dir, "checkpoints", "step-000004");
    for (const file of ["policy/tokenizer.json", "prm/model.safetensors", "prm.optimizer.safetensors", "state.json"])
      expect(existsSync(join(last, file))).toBe(true);
    for (const role of ["policy", "prm"]) {
      const card = readFileSync(join(last, role, "README.md"), "utf8");
      const accuracy = metrics.findLast((row) => "eval/accuracy" in row)?.["eval/accuracy"] as number;
      expect(card).toContain("| steps | 4 of 4 |");
      expect(card).toContain(`| held-out accuracy, last | ${Number(accuracy.toPrecision(4))} |`);
    }
    const saved = await Model.load(join(last, "policy"));
    cleanups.push(() => saved.close());
    expect(await weightsOf(saved)).toEqual(weights);
  });

  const phase = (name: string) => (event: TrainEvent) => event.type === "phase" && event.phase === name;
  const stops: [string, number, (event: TrainEvent) => boolean][] = [
    ["before anything", 1, phase("eval")],
    ["in the first rollouts", 1, phase("rollout")],
    ["in rollouts after a checkpoint", 8, phase("rollout")],
    ["while scoring", 3, phase("score")],
    ["while the PRM trains", 3, phase("prm")],
    ["while the policy trains", 2, phase("policy")],
    ["in an evaluation", 12, phase("eval")],
    ["while saving", 1, phase("save")],
    ["right after a step", 3, (event) => event.type === "step"],
  ];
  for (const [when, n, matches] of stops) {
    test(`stopped ${when} and resumed: metrics and weights as if unbroken`, async () => {
      const whole = await unbroken();
      const run = await makeRun();
      const half = await runPrime({ config: { ...CONFIG, ...BUSY }, task: tinyTask(), policy: await makeModel(), run, ...stopAt(n, matches) });
      expect(half.stopped).toBe(true);
      const policy = await makeModel(); // the fine-tuned model again: reference and PRM start from it
      const resumed = await runPrime({ config: { ...CONFIG, ...BUSY }, task: tinyTask(), policy, run, resume: await run.newestCheckpoint() });
      expect(await weightsOf(policy)).toEqual(whole.weights);
      expect(await timelessMetrics(run)).toEqual(whole.metrics);
      expect(resumed.answers).toEqual(whole.result.answers);
      expect(resumed.history).toEqual(whole.result.history);
    });
  }

  test("continuing from an older checkpoint, as after a kill, redoes the lost steps identically", async () => {
    const whole = await unbroken();
    const run = await makeRun();
    const config = { ...CONFIG, ...BUSY };
    const options = { config, task: tinyTask(), run };
    await runPrime({ ...options, policy: await makeModel(), ...stopAt(2, (event: TrainEvent) => event.type === "checkpoint" || event.type === "step") });
    const resume = await run.newestCheckpoint();
    expect(resume?.step).toBe(2);
    // A run that dies in step 4 has written a row of step 3; the resumed one drops it.
    await run.appendMetrics({ step: 3, "policy/loss": 123 });
    await run.writeRollouts(3, [{ lost: true }]);
    const policy = await makeModel();
    await runPrime({ ...options, policy, resume });
    expect(await weightsOf(policy)).toEqual(whole.weights);
    expect(await timelessMetrics(run)).toEqual(whole.metrics);
    expect(existsSync(join(run.dir, "rollouts", "step-000003.jsonl"))).toBe(false);
  });

  test("stopped in an evaluation, resumed, killed after it and resumed again: the evaluation stands there once", async () => {
    const whole = await unbroken();
    const run = await makeRun();
    const options = { config: { ...CONFIG, ...BUSY }, task: tinyTask(), run };
    await runPrime({ ...options, policy: await makeModel(), ...stopAt(1, (event: TrainEvent) => phase("eval")(event) && event.step === 2) });
    expect((await run.newestCheckpoint())?.state).toMatchObject({ step: 2, evaluatedStep: 0 });
    const die = (event: TrainEvent) => {
      if (event.type === "step") throw new Error("killed");
    };
    const killed = runPrime({ ...options, policy: await makeModel(), resume: await run.newestCheckpoint(), onEvent: die });
    await expect(killed).rejects.toThrow("killed");
    await runPrime({ ...options, policy: await makeModel(), resume: await run.newestCheckpoint() });
    expect(await timelessMetrics(run)).toEqual(whole.metrics);
  });

  test("a checkpoint of something else is refused", async () => {
    const resume = { step: 3, dir: "elsewhere", state: { version: 1, step: 4 } };
    await expect(runPrime({ config: CONFIG, task: tinyTask(), policy: await makeModel(), resume })).rejects.toMatchObject({ code: "ERR_CHECKPOINT" });
  });
});
