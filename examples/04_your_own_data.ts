// 04: fine-tune, then PRIME, on your own JSONL.   bun examples/04_your_own_data.ts   (about 20 seconds)
//
// A dataset is a file with a prompt and the right answer in each row and, for fine-tuning, a response. Here the responses are sloppy: asked to sort
// digits, they drop those that come twice. Fine-tuning learns that, too; PRIME unlearns it, as the answers are right. Put your own file and verifier in.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arithmeticTask } from "../ts/data/arithmetic.ts";
import { datasetTask } from "../ts/data/dataset_task.ts";
import { Draws } from "../ts/data/random.ts";
import { measureAccuracy } from "../ts/eval/accuracy.ts";
import { runPrime } from "../ts/train/prime.ts";
import { runSft } from "../ts/train/sft.ts";
import type { Verifier } from "../ts/verifiers/types.ts";
import { percent, tinyModel } from "./shared.ts";

// 1. The file. Columns named prompt (or question, problem), answer and response are found by themselves; others are named: mapping: { prompt: "q", … }.
const folder = mkdtempSync(join(tmpdir(), "primekit-example-"));
const file = join(folder, "sorting.jsonl");
const rows = Array.from({ length: 4000 }, (_, i) => sortingRow(new Draws(1, 0, i)));
writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
console.log(
  `${file}:\n${rows
    .slice(0, 3)
    .map((row) => JSON.stringify(row))
    .join("\n")}`,
);

// 2. The verifier: right or wrong, from the text alone.
const exactMatch: Verifier = {
  name: "exact match",
  verify: async (items) =>
    items.map(({ response, answer }) => {
      const right = response.trim() === answer;
      return { score: right ? 1 : 0, outcome: right ? "correct" : "wrong", extracted: response.trim(), reason: right ? "equal" : "different" };
    }),
};

// 3. The task. The built-in task's tokenizer knows digits and spaces; a real model brings its own: Tokenizer.load(await resolveModel("ORG/NAME")).
const { tokenizer } = arithmeticTask();
const task = await datasetTask(file, { tokenizer, verifier: exactMatch, needs: ["answer", "response"], heldOutSize: 200 });
console.log(`${task.report.kept} rows to train on, ${task.heldOut.length} held out, ${task.report.bad} bad`);

// 4. Fine-tuning on the responses, then PRIME on right and wrong. With `run: await RunFolder.create("runs", "sorting", config)` both keep metrics,
//    rollouts and checkpoints, and can be resumed.
using model = await tinyModel(task);
const maxNewTokens = 16;
await runSft({ config: { steps: 500, batchSize: 32, lr: 5e-3, beta2: 0.95, maxNewTokens, evalProblems: 1 }, task, model });
const before = await measureAccuracy(model, task, task.heldOut, { maxNewTokens });
console.log(`before: ${percent(before.accuracy)} of the held-out rows right`);

await runPrime({
  config: { steps: 30, promptsPerStep: 32, maxNewTokens, lr: 5e-4, prmBeta: 1, prmLr: 5e-4, normalizeProcess: "batch", evalProblems: 1, sampleAnswers: 0 },
  task,
  policy: model,
  onEvent: (event) => {
    if (event.type !== "step" || event.step % 5 !== 0) return;
    console.log(`step ${event.step}: ${percent(event.metrics["rollout/accuracy"] ?? 0)} of the samples right`);
  },
});
const after = await measureAccuracy(model, task, task.heldOut, { maxNewTokens });
console.log(`after: ${percent(after.accuracy)} of the held-out rows right`);

// 5. A Hugging Face directory: transformers loads it, and so does Model.load().
await model.save(join(folder, "model"));
await tokenizer.save(join(folder, "model"));
console.log(`saved in ${join(folder, "model")}`);
task.close();

function sortingRow(draws: Draws): { prompt: string; answer: string; response: string } {
  const digits = Array.from({ length: 5 }, () => draws.integer(0, 9));
  const sorted = digits.toSorted((a, b) => a - b);
  const sloppy = draws.chance(0.7) ? [...new Set(sorted)] : sorted;
  return { prompt: digits.join(" "), answer: sorted.join(" "), response: sloppy.join(" ") };
}
