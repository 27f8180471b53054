import { describe, expect, test } from "bun:test";
import { PrimekitError } from "../../ts/errors.ts";
import type { Rollout } from "../../ts/model.ts";
import { sampleGroups, verifyAll } from "../../ts/rollout/sample.ts";
import type { Verdict } from "../../ts/verifiers/types.ts";
import { digits, gradedBy, tinyTask } from "../support/tasks.ts";

const OPTIONS = { samples: 2, maxNewTokens: 3, temperature: 1, seed: 1, firstSequence: 0n };

/** A policy that answers sample g of prompt p with the digit g, then stops (or, for g = 1, does not). */
function scripted(task = tinyTask()) {
  const [zero] = task.tokenizer.encode("0");
  const seen: { prompts: readonly ArrayLike<number>[]; options: object }[] = [];
  const generate = async (prompts: readonly ArrayLike<number>[], options: { samples?: number }): Promise<Rollout[]> => {
    seen.push({ prompts, options });
    return prompts.flatMap((_, prompt) =>
      Array.from({ length: options.samples ?? 1 }, (_, sample): Rollout => {
        const tokens = sample === 0 ? Int32Array.of(zero, task.tokenizer.eosId) : Int32Array.of(zero + sample);
        return { prompt, sample, tokens, logprobs: new Float32Array(tokens.length), finishReason: sample === 0 ? "stop" : "length" };
      }),
    );
  };
  return { generate, seen };
}

const problems = [
  { position: 4, problem: digits(4) },
  { position: 9, problem: digits(9) },
];

describe("sampleGroups", () => {
  test("groups samples by prompt, decodes without special tokens, verifies and averages", async () => {
    const verifier = gradedBy(({ response }) => Number(response === "0"));
    const { generate, seen } = scripted();
    const groups = await sampleGroups({ generate }, tinyTask(verifier), problems, OPTIONS);
    expect(groups.map((group) => [group.position, group.accuracy, group.decided])).toEqual([
      [4, 0.5, true],
      [9, 0.5, true],
    ]);
    expect(groups[1].samples.map((sample) => [sample.text, sample.truncated, sample.verdict.outcome])).toEqual([
      ["0", false, "correct"],
      ["1", true, "wrong"],
    ]);
    expect(seen[0].options).toMatchObject({ stop: { tokens: [tinyTask().tokenizer.eosId] }, samples: 2, firstSequence: 0n });
    expect(Array.from(seen[0].prompts[1])).toEqual(Array.from(tinyTask().tokenizer.encode(digits(9).prompt)));
  });

  test("answers end where the tokenizer or the model says that text ends", async () => {
    const { generate, seen } = scripted();
    const { eosId } = tinyTask().tokenizer;
    await sampleGroups({ generate, config: { eosTokenId: 3, eosTokenIds: [3, eosId, 5] } }, tinyTask(), problems, OPTIONS);
    expect(seen[0].options).toMatchObject({ stop: { tokens: [eosId, 3, 5] } });
  });

  for (const outcome of ["timeout", "error"] as const) {
    test(`a verdict "${outcome}" leaves its group undecided, and only it`, async () => {
      const verdict: Verdict = { score: 0, outcome, extracted: undefined, reason: "a test" };
      const verifier = gradedBy(({ prompt, response }) => (prompt === digits(4).prompt && response === "1" ? verdict : 1));
      const groups = await sampleGroups(scripted(), tinyTask(verifier), problems, OPTIONS);
      expect(groups.map((group) => group.decided)).toEqual([false, true]);
    });
  }

  test("a program that runs too long is an answer like a wrong one: its group is decided", async () => {
    const verdict: Verdict = { score: 0, outcome: "timeout", settled: true, extracted: "while True: pass", reason: "a test" };
    const verifier = gradedBy(({ response }) => (response === "1" ? verdict : 1));
    const groups = await sampleGroups(scripted(), tinyTask(verifier), problems, OPTIONS);
    expect(groups.map((group) => [group.decided, group.accuracy])).toEqual([
      [true, 0.5],
      [true, 0.5],
    ]);
  });

  test("an empty prompt is an error that names the problem", async () => {
    const empty = [{ position: 0, problem: { ...digits(0), prompt: "" } }];
    await expect(sampleGroups(scripted(), tinyTask(), empty, OPTIONS)).rejects.toMatchObject({
      code: "ERR_DATA",
      message: expect.stringContaining("digits-0"),
    });
  });
});

describe("verifyAll", () => {
  const items = [{ prompt: "a", response: "b", answer: "c" }];

  test("a verifier that throws gives errors, with its reason", async () => {
    const verdicts = await verifyAll({ name: "broken", verify: () => Promise.reject(new Error("no memory")) }, items);
    expect(verdicts).toEqual([{ score: 0, outcome: "error", extracted: undefined, reason: "The verifier broken failed: no memory" }]);
  });

  test("a verifier that cannot work here at all stops the run", async () => {
    const missing = new PrimekitError("ERR_UNSUPPORTED", "Pyodide is not installed.");
    await expect(verifyAll({ name: "code", verify: () => Promise.reject(missing) }, items)).rejects.toBe(missing);
  });

  test("a verifier that returns too few verdicts gives errors", async () => {
    const [verdict] = await verifyAll({ name: "short", verify: async () => [] }, items);
    expect(verdict).toMatchObject({ outcome: "error", reason: expect.stringContaining("0 verdicts for 1 answers") });
  });

  test("verdicts that are none give errors that say what is wrong with them, and leave the others alone", async () => {
    const right: Verdict = { score: 1, outcome: "correct", extracted: "1", reason: "equal" };
    const bad = [{ ...right, score: Number.NaN }, { ...right, score: 5 }, { ...right, outcome: "right" }, undefined, { score: true }] as unknown as Verdict[];
    const verifier = { name: "odd", verify: async () => [right, ...bad] };
    const [first, ...rest] = await verifyAll(verifier, new Array(6).fill(items[0]));
    expect(first).toEqual(right);
    expect(rest.map(({ outcome, score }) => [outcome, score])).toEqual(new Array(5).fill(["error", 0]));
    expect(rest[0].reason).toBe("The verifier odd returned the score NaN; a score is a number from 0 to 1.");
    expect(rest[2].reason).toContain('the outcome "right"');
  });

  test("an abort passes through", async () => {
    const stop = new AbortController();
    const verifier = {
      name: "slow",
      verify: async () => {
        stop.abort();
        throw new Error("interrupted");
      },
    };
    await expect(verifyAll(verifier, items, stop.signal)).rejects.toMatchObject({ name: "AbortError" });
  });
});
