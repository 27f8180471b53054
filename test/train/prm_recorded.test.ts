// Every PRM loss follows a PyTorch run recorded by test/fixtures/record_prm.py, loss by loss.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { PrmLoss } from "../../ts/algo/prm_losses.ts";
import { type LabelledRow, updatePrm } from "../../ts/algo/prm_update.ts";
import { Model } from "../../ts/model.ts";
import { scoreRows } from "../../ts/rollout/score.ts";
import { FIXTURES, fixtureDir } from "../support/models.ts";

interface Recorded {
  adamw: { lr: number; betas: [number, number]; eps: number; gradClip: number };
  beta: Record<string, number>;
  rows: { prompt: number[]; response: number[]; group: number; label: number; ends: number[]; stepLabels: number[] }[];
  losses: Record<string, number[]>;
}

const recorded = JSON.parse(readFileSync(join(FIXTURES, "prm_losses.json"), "utf8")) as Recorded;

/** The rows as a loss sees them: all with one label, all with labels of steps, or (mixed) by turns. */
function rowsFor(name: string): LabelledRow[] {
  const rows = recorded.rows.map(({ prompt, response, group, label, ends, stepLabels }, i): LabelledRow => {
    const withSteps = name === "steps" || (name === "mixed" && i % 2 === 1);
    const steps = withSteps ? { steps: { ends: Int32Array.from(ends), labels: Float32Array.from(stepLabels) } } : {};
    return { prompt: Int32Array.from(prompt), response: Int32Array.from(response), group, label, ...steps };
  });
  return [...rows.filter((row) => !row.steps), ...rows.filter((row) => row.steps)];
}

/** The noise the recording put on its PRM: p + 0.01 p sin(k), k counting a tensor's elements. */
async function noisyModel(): Promise<Model> {
  const model = await Model.load(fixtureDir("qwen2_tied"), { dtype: "float32" });
  for (const { name } of model.native.parameters()) {
    const values = await model.native.readParameter(name, "value");
    await model.native.writeParameter(
      name,
      values.map((p, k) => p + Math.fround(p * Math.fround(0.01)) * Math.sin(k)),
    );
  }
  return model;
}

for (const name of Object.keys(recorded.losses)) {
  // a budget of 60 tokens makes several micro-batches of every step; groups stay whole
  for (const maxTokensPerBatch of [100_000, 60]) {
    test(`${name}: twenty losses as recorded (${maxTokensPerBatch} tokens a micro-batch)`, async () => {
      using reference = await Model.load(fixtureDir("qwen2_tied"), { dtype: "float32", trainable: false });
      using prm = await noisyModel();
      const rows = rowsFor(name);
      const refLogprobs = await scoreRows(reference, rows, { maxTokensPerBatch });
      const loss = (name === "steps" || name === "mixed" ? "ce" : name) as PrmLoss;
      const losses: number[] = [];
      for (let step = 0; step < recorded.losses[name].length; step++) {
        losses.push((await updatePrm(prm, rows, refLogprobs, { ...recorded.adamw, loss, beta: recorded.beta[name], maxTokensPerBatch })).loss);
      }
      losses.forEach((ours, step) => {
        const theirs = recorded.losses[name][step];
        expect(Math.abs(ours - theirs), `step ${step}: ${ours} instead of ${theirs}`).toBeLessThan(1e-3 * Math.abs(theirs) + 1e-6);
      });
    });
  }
}
