// The event loop and aborts, strictly: how late 5 ms timers fire while the engine works, and how soon an abort ends it.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { abortTime, longestWait } from "../support/liveness.ts";
import { type BenchResult, RESULTS } from "./harness.ts";
import { machine, median, type Row, renderTable } from "./measure.ts";
import { loadModel, MODELS, randomPrompts } from "./sizes.ts";

const STEPS = 30;
const ABORTS = 20;
const [ROWS, LENGTH] = [64, 128];
const batch = {
  tokens: Int32Array.from({ length: ROWS * LENGTH }, (_, i) => (i * 7919) % MODELS.tiny.vocabSize), // [N]
  offsets: Int32Array.from({ length: ROWS + 1 }, (_, i) => i * LENGTH), // [B+1]
};
const prompts = randomPrompts(64, 32, MODELS.tiny.vocabSize);
using model = await loadModel("tiny", "bfloat16");

async function trainStep(signal?: AbortSignal): Promise<void> {
  await model.forwardBackward(batch, ({ logprobs }) => ({ dLogprobs: new Float32Array(logprobs.length).fill(-1e-4) }), { signal });
  await model.step({ lr: 1e-4 });
}
const generate = (signal?: AbortSignal) => model.generate(prompts, { samples: 4, maxNewTokens: 96, stop: { tokens: [] }, signal });

async function lateness(what: string, work: () => Promise<unknown>): Promise<Row> {
  await work();
  const latest: number[] = [];
  for (let i = 0; i < STEPS; i++) latest.push((await longestWait(work)).latest);
  const within = latest.filter((late) => late <= 20).length;
  const worst = Math.max(...latest);
  const ours = `worst ${worst.toFixed(1)} ms, median ${median(latest).toFixed(1)} ms, ${within} of ${STEPS} within 20 ms`;
  return { what: `a 5 ms timer's largest lateness, ${what}`, ours, target: "at most 20 ms", met: worst <= 20 };
}

async function aborts(what: string, work: (signal: AbortSignal) => Promise<unknown>): Promise<Row> {
  const times: number[] = [];
  for (let i = 0; i < ABORTS; i++) times.push(await abortTime(work, 20 + 17 * i)); // at different moments of the work
  const worst = Math.max(...times);
  const ours = `worst ${worst.toFixed(1)} ms, median ${median(times).toFixed(1)} ms of ${ABORTS}`;
  return { what: `from abort() to the rejection, ${what}`, ours, target: "at most 50 ms", met: worst <= 50 };
}

const rows = [
  await lateness("training step", () => trainStep()),
  await lateness("generation", () => generate()),
  await aborts("training step", trainStep),
  await aborts("generation", generate),
];
const notes = ["On an idle machine: anything else that computes makes timers late, ours or not."];
console.log(renderTable(rows));
if (process.argv.includes("--save")) {
  const result: BenchResult = { machine: machine(), rows, notes };
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, "liveness.json"), `${JSON.stringify(result, null, 2)}\n`);
}
