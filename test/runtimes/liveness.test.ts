// Long native calls leave the event loop alone, and stop soon after an abort.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { availableParallelism, loadavg } from "node:os";
import { type Batch, Model } from "../../ts/model.ts";
import { abortTime, longestWait } from "../support/liveness.ts";

setDefaultTimeout(120_000);

const SIZES = { vocabSize: 64, hiddenSize: 256, intermediateSize: 768, numHiddenLayers: 6, numAttentionHeads: 4, numKeyValueHeads: 2 };
const ROWS = 64;
const LENGTH = 128;
const batch: Batch = {
  tokens: Int32Array.from({ length: ROWS * LENGTH }, (_, i) => (i * 7919) % 64),
  offsets: Int32Array.from({ length: ROWS + 1 }, (_, i) => i * LENGTH),
};

async function trainStep(model: Model, signal?: AbortSignal): Promise<void> {
  await model.forwardBackward(batch, ({ logprobs }) => ({ dLogprobs: new Float32Array(logprobs.length).fill(-1e-4) }), { signal });
  await model.step({ lr: 1e-4 });
}

/** Programs that want to run per core, at least 1: on a machine that is overbooked, every wake-up waits for its turn. */
function crowding(): number {
  return Math.max(1, loadavg()[0] / availableParallelism());
}

/** The best of a few attempts: other programs on the machine can only make a measurement worse. */
async function best(attempts: number, enough: number, measure: () => Promise<number>): Promise<number> {
  let smallest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < attempts && smallest > enough; i++) smallest = Math.min(smallest, await measure());
  return smallest;
}

/** The same timers beside other processes that compute on every core: what this machine, as busy as it is now, does to any timer. */
async function watchBesideOthers(milliseconds: number): Promise<number> {
  const others = Array.from({ length: availableParallelism() }, () => Bun.spawn([process.execPath, "-e", "for (;;);"]));
  try {
    return (await longestWait(() => Bun.sleep(milliseconds))).latest;
  } finally {
    for (const other of others) other.kill("SIGKILL");
  }
}

describe("the event loop", () => {
  test("fires a 5 ms timer at most 20 ms late during a training step", async () => {
    using model = await Model.load(SIZES, { dtype: "float32" });
    await trainStep(model); // allocates
    const attempts: string[] = [];
    for (let attempt = 0; attempt < 6; attempt++) {
      const start = performance.now();
      const { latest, ticks } = await longestWait(() => trainStep(model));
      expect(ticks).toBeGreaterThan(10); // else the step was too short to tell
      if (latest <= 20) return;
      // Too late: the machine's fault only if timers are as late without any of our code in the process.
      const others = await watchBesideOthers(performance.now() - start);
      attempts.push(`${latest.toFixed(0)} ms late (${others.toFixed(0)} ms beside other programs)`);
      if (latest <= 1.25 * others) return;
    }
    expect(attempts, "every attempt was late").toEqual([]);
  });
});

describe("an abort", () => {
  test("ends a training step within 50 ms", async () => {
    using model = await Model.load(SIZES, { dtype: "float32" });
    await trainStep(model);
    for (const after of [20, 150]) {
      const limit = 50 * crowding();
      expect(await best(8, limit, () => abortTime((signal) => trainStep(model, signal), after))).toBeLessThanOrEqual(limit);
    }
    await trainStep(model); // and the model still works
  });

  test("ends a generation within 50 ms", async () => {
    using model = await Model.load(SIZES, { dtype: "float32", trainable: false });
    const prompts = Array.from({ length: 64 }, (_, i) => Array.from({ length: 32 }, (_, t) => (i + t) % 64));
    const work = (signal: AbortSignal) => model.generate(prompts, { samples: 4, maxNewTokens: 96, stop: { tokens: [] }, signal });
    const limit = 50 * crowding();
    expect(await best(8, limit, () => abortTime(work, 100))).toBeLessThanOrEqual(limit);
  });
});
