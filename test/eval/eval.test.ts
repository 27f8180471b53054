import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { measureAccuracy } from "../../ts/eval/accuracy.ts";
import { sampleAnswers } from "../../ts/eval/answers.ts";
import { stepAccuracy, stepEnds, stepVerdicts } from "../../ts/eval/steps.ts";
import { implicitRewards } from "../../ts/kernels.ts";
import type { Rollout } from "../../ts/model.ts";
import { scoreRows } from "../../ts/rollout/score.ts";
import { expectClose } from "../support/compare.ts";
import { digits, gradedBy, tinyModel, tinyTask } from "../support/tasks.ts";

setDefaultTimeout(60_000);
const task = tinyTask();
const encode = (text: string) => task.tokenizer.encode(text);

/** A policy that answers every prompt with the same tokens. */
const answering = (tokens: Int32Array, finishReason: Rollout["finishReason"] = "stop") => ({
  generate: async (prompts: readonly ArrayLike<number>[]) =>
    prompts.map((_, prompt): Rollout => ({ prompt, sample: 0, tokens, logprobs: new Float32Array(tokens.length), finishReason })),
});

describe("measureAccuracy", () => {
  test("averages scores, by level too, and counts what went wrong", async () => {
    const verifier = gradedBy(({ prompt }) =>
      prompt === "30" ? { score: 0, outcome: "error", extracted: undefined, reason: "a test" } : Number(prompt < "20"),
    );
    const problems = [0, 1, 2, 3].map(digits); // prompts 00 10 20 30, levels 1 2 3 1
    const result = await measureAccuracy(answering(encode("1"), "length"), { ...task, verifier }, problems, { maxNewTokens: 4 });
    expect(result).toEqual({
      accuracy: 0.5,
      problems: 4,
      truncated: 4,
      timeouts: 0,
      errors: 1,
      byLevel: [
        { level: 1, problems: 2, accuracy: 0.5 },
        { level: 2, problems: 1, accuracy: 1 },
        { level: 3, problems: 1, accuracy: 0 },
      ],
    });
  });

  test("no problems: accuracy 0 of 0, not NaN", async () => {
    expect(await measureAccuracy(answering(encode("1")), task, [], { maxNewTokens: 4 })).toMatchObject({ accuracy: 0, problems: 0, byLevel: [] });
  });
});

describe("stepEnds", () => {
  const cases: [string, number[]][] = [
    ["1+1\n2", [3, 4]],
    ["1\n2\n", [1, 3]],
    ["1\n\n2", [2, 3]],
    ["1", [0]],
    ["\n1", [1]],
    [" \n\n1\n2", [4, 5]],
    ["1\n \n2", [3, 4]],
    ["\n", [0]],
    ["", []],
  ];
  for (const [text, expected] of cases) {
    test(JSON.stringify(text), () => {
      expect(encode(text)).toHaveLength(text.length); // one token per character, so positions are characters
      expect(stepEnds(task.tokenizer, encode(text))).toEqual(expected);
    });
  }

  test("there are as many as a task finds lines to judge, also where some are blank", () => {
    const text = "\n1\n \n2\n\n3";
    const checkSteps = (_: unknown, all: string) => all.split("\n").map((line) => ({ line, correct: line === "2", reason: "" }));
    const ends = stepEnds(task.tokenizer, encode(text));
    expect(stepVerdicts({ checkSteps }, digits(0), text, ends.length)).toEqual([false, true, false]);
    expect(ends).toEqual([4, 7, 8]);
  });

  test("the end-of-text token belongs to the last step, unless a line end came before it", () => {
    expect(stepEnds(task.tokenizer, Int32Array.of(...encode("1"), task.tokenizer.eosId))).toEqual([1]);
    expect(stepEnds(task.tokenizer, Int32Array.of(...encode("1\n"), task.tokenizer.eosId))).toEqual([1, 2]);
  });
});

describe("stepAccuracy", () => {
  test("pairs of a right and a wrong step within one answer, ties half, unjudged steps and uniform answers left out", () => {
    const uniform = { rewards: [3, 1], correct: [true, true] };
    expect(stepAccuracy([uniform])).toBeUndefined();
    expect(stepAccuracy([uniform, { rewards: [2, 1, 9], correct: [true, false, undefined] }])).toBe(1);
    expect(stepAccuracy([{ rewards: [1, 0, 2], correct: [true, true, false] }])).toBe(0);
    const mixed = { rewards: [1, 1, 0], correct: [true, false, false] };
    expect(stepAccuracy([mixed, { rewards: [0, 1], correct: [true, false] }])).toBe(0.375);
  });
});

describe("sampleAnswers", () => {
  const models = Promise.all([tinyModel(1), tinyModel(2)]);
  afterAll(async () => {
    for (const model of await models) model.close();
  });
  const options = { maxNewTokens: 8, temperature: 1, seed: 1, prmBeta: 0.5, maxTokensPerBatch: 64 };
  const response = Int32Array.of(...encode("1+2=3\n4\n"), task.tokenizer.eosId);

  test("each step carries the sum of its tokens' rewards; the cumulative ends at the answer's score", async () => {
    const [prm, reference] = await models;
    const [answer] = await sampleAnswers(answering(response), { prm, reference }, task, [digits(7)], options);
    const rows = [{ prompt: encode(digits(7).prompt), response }];
    const scored = await Promise.all([scoreRows(prm, rows, options), scoreRows(reference, rows, options)]);
    const { rewards, scores } = implicitRewards(...scored, Int32Array.of(0, response.length), { beta: 0.5 });
    const sum = (from: number, to: number) => rewards.subarray(from, to).reduce((total, r) => total + r, 0);
    expect(answer.steps.map((step) => step.text)).toEqual(["1+2=3", "4", ""]);
    expectClose(
      answer.steps.map((step) => step.reward ?? Number.NaN),
      [sum(0, 6), sum(6, 8), sum(8, 9)],
      1e-5,
    );
    expect(answer.processScore).toBeCloseTo(scores[0], 5);
    expect(Math.abs(scores[0])).toBeGreaterThan(0.01);
  });

  test("a task that judges steps has its say beside the rewards", async () => {
    const checkSteps = () => [
      { line: "1+2=3\n", correct: true, reason: "" },
      { line: "4\n", correct: false, reason: "" },
    ];
    const [answer] = await sampleAnswers(answering(response), undefined, { ...task, checkSteps }, [digits(7)], options);
    expect(answer.steps).toEqual([{ text: "1+2=3", correct: true }, { text: "4", correct: false }, { text: "" }]);
  });

  test("without a PRM steps carry no rewards", async () => {
    const [answer] = await sampleAnswers(answering(response), undefined, task, [digits(7)], options);
    expect(answer.steps).toEqual([{ text: "1+2=3" }, { text: "4" }, { text: "" }]);
    expect(answer.processScore).toBeUndefined();
  });
});
