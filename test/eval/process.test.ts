// Process rewards of given answers: they are the models' log-ratios, cut where the steps end.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeExample } from "../../ts/data/prm/encode.ts";
import type { PrmExample } from "../../ts/data/prm/example.ts";
import { judgeAnswers } from "../../ts/eval/process.ts";
import { renderAnswerText } from "../../ts/eval/report/text.ts";
import type { Model } from "../../ts/model.ts";
import { packRows } from "../../ts/rollout/pack.ts";
import { tinyModel, tinyTask } from "../support/tasks.ts";

const { tokenizer } = tinyTask();
let prm: Model;
let reference: Model;
beforeAll(async () => {
  prm = await tinyModel(1);
  reference = await tinyModel(2);
});
afterAll(() => {
  prm.close();
  reference.close();
});

const OPTIONS = { beta: 0.3, maxTokensPerBatch: 64, promptFormat: "text" } as const;
const examples: PrmExample[] = Array.from({ length: 70 }, (_, i) => {
  return { id: `e${i}`, prompt: `${i}?`, steps: [`${i}+1=${i + 1}\n`, "2\n\n", "(3)"], group: String(i), label: i % 2, stepLabels: [1, undefined, i % 2] };
});

test("rewards are beta times the log-ratio, summed up to each step's end", async () => {
  const answers = await judgeAnswers({ prm, reference }, tokenizer, examples, { ...OPTIONS, tokens: true });
  expect(answers.map((answer) => answer.id)).toEqual(examples.map((example) => example.id));
  for (const [i, answer] of answers.entries()) {
    const row = encodeExample(tokenizer, examples[i], OPTIONS);
    const [phi, ref] = [await prm.logprobs(packRows([row])), await reference.logprobs(packRows([row]))];
    const rewards = Array.from(phi.logprobs, (value, t) => 0.3 * (value - ref.logprobs[t]));
    for (const [t, token] of answer.steps.flatMap((step) => step.tokens ?? []).entries()) expect(token.reward).toBeCloseTo(rewards[t], 4);
    answer.steps.forEach((step, k) => {
      expect(step.q).toBeCloseTo(
        rewards.slice(0, row.stepEnds[k] + 1).reduce((a, b) => a + b, 0),
        4,
      );
      expect(step.reward).toBeCloseTo(step.q - (answer.steps[k - 1]?.q ?? 0), 4);
      expect(step.tokens?.map((token) => token.text).join("")).toBe(step.text);
    });
    expect(answer.steps.map((step) => step.text)).toEqual(examples[i].steps);
    expect(answer.score).toBe(answer.steps[2].q);
    expect(answer.steps.map((step) => step.label)).toEqual([1, undefined, i % 2]);
  }
});

test("the same models give rewards of zero; tokens only on request", async () => {
  const [answer] = await judgeAnswers({ prm, reference: prm }, tokenizer, examples.slice(0, 1), OPTIONS);
  expect(answer.steps.map(({ reward, tokens }) => [reward, tokens])).toEqual(Array(3).fill([0, undefined]));
});

test("an interrupted call goes on where it was, and another beta needs no model", async () => {
  const dir = mkdtempSync(join(tmpdir(), "primekit-judge-"));
  const many = Array.from({ length: 8 }, (_, k) =>
    examples.map((example) => ({ ...example, id: `${example.id}/${k}`, prompt: `${k}${example.prompt}` })),
  ).flat(); // 560 rows
  let calls = 0;
  const counted = (model: Model, limit = Number.POSITIVE_INFINITY) => ({
    logprobs: async (...args: Parameters<Model["logprobs"]>) => {
      if (calls >= limit) throw new Error("interrupted");
      calls++;
      return model.logprobs(...args);
    },
  });
  const options = { ...OPTIONS, maxTokensPerBatch: 1e6, caches: { prm: { dir, modelId: "1" }, reference: { dir, modelId: "2" } } };
  const judge = (limit?: number, beta = 0.3) =>
    judgeAnswers({ prm: counted(prm, limit), reference: counted(reference, limit) }, tokenizer, many, { ...options, beta });
  try {
    await expect(judge(4)).rejects.toThrow("interrupted");
    const answers = await judge();
    expect(calls).toBe(6); // three blocks by each model, none of them twice
    const doubled = await judge(0, 0.6);
    doubled.forEach((answer, i) => void expect(answer.score).toBeCloseTo(2 * answers[i].score, 4));
    expect(answers).toEqual(await judgeAnswers({ prm, reference }, tokenizer, many, OPTIONS));
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("a score that is not a number is an error that names the answer", async () => {
  const broken: Pick<Model, "logprobs"> = {
    logprobs: async (batch, options) => {
      const scores = await prm.logprobs(batch, options);
      scores.logprobs[3] = Number.NaN;
      return scores;
    },
  };
  await expect(judgeAnswers({ prm: broken, reference }, tokenizer, examples, OPTIONS)).rejects.toThrow(/^e0: the process reward of token 4 of \d+ is NaN/);
});

test("as text: the worst step stands out, control characters are shown and not carried out", async () => {
  const answer = {
    id: "x",
    prompt: "1+1\u001b[31m",
    label: 0,
    score: -2,
    truncated: true,
    steps: [
      { text: "a\n", reward: 0.5, q: 0.5 },
      { text: "b\u0007", reward: -2.5, q: -2 },
    ],
  };
  const lines = renderAnswerText(answer, { width: 60 }).split("\n");
  expect(lines[0]).toBe("✗ wrong  1+1\uFFFD[31m  Q −2.00, cut off");
  expect(lines[1]).toContain("+0.50         │██       a");
  expect(lines[2]).toContain("−2.50 ████████│         b\uFFFD");
  expect(lines[3]).toContain("−2.00 … +0.50");
  expect(renderAnswerText(answer)).not.toContain("\u001b");
  expect(renderAnswerText(answer, { colour: true })).toContain("\u001b[31m");
});
