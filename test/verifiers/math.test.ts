// The math verifier on answers worked out by hand: what counts as the answer, what is equal, and which step decides.
import { afterAll, describe, expect, test } from "bun:test";
import { mathVerifier } from "../../ts/verifiers/math.ts";
import type { Verdict } from "../../ts/verifiers/types.ts";
import { DIFFERENT, EQUAL } from "./math/cases.ts";

const boxed = mathVerifier({ timeoutMs: 20_000 });
const lenient = mathVerifier({ extract: "lenient", timeoutMs: 20_000 });
afterAll(() => Promise.all([boxed.close?.(), lenient.close?.()]));

const judge = async (verifier: typeof boxed, response: string, answer: string): Promise<Verdict> =>
  (await verifier.verify([{ prompt: "", response, answer }]))[0];

describe("equality", () => {
  test.each(EQUAL)("%p equals %p (%s)", async (gold, answer) => {
    expect(await judge(boxed, `So \\boxed{${answer}}`, gold)).toMatchObject({ outcome: "correct", score: 1, extracted: answer.trim() });
  });

  test.each(DIFFERENT)("%p is not %p (%s)", async (gold, answer) => {
    expect(await judge(boxed, `So \\boxed{${answer}}`, gold)).toMatchObject({ outcome: "wrong", score: 0 });
  });

  test("every reference equals itself", async () => {
    const golds = [...EQUAL, ...DIFFERENT].map(([gold]) => gold);
    const verdicts = await boxed.verify(golds.map((gold) => ({ prompt: "", response: `\\boxed{${gold}}`, answer: gold })));
    expect(golds.filter((_, i) => verdicts[i].outcome !== "correct")).toEqual([]);
  });
});

describe("the reason names the step that decided", () => {
  test.each([
    ["42", "42", "text"],
    ["\\frac12", "0.5", "exact value"],
    ["\\frac{1}{\\sqrt2}", "\\frac{\\sqrt2}{2}", "numeric"],
    ["(1,2)", "(2,1)", "exact value"],
    ["[0,1)", "(0,1)", "structure"],
    ["x^2-1", "(x-1)(x+1)", "symbolic"],
    ["n!", "n(n-1)!", "sampling"],
    ["x^2", "x^3", "sampling"],
  ])("%p against %p: %s", async (gold, answer, step) => {
    expect((await judge(boxed, `\\boxed{${answer}}`, gold)).reason).toContain(`qual by ${step}:`);
  });
});

describe("extraction", () => {
  test.each([
    ["\\boxed{1} then \\boxed{2}", "2", "the last box"],
    ["\\boxed{\\frac{1}{2}}", "\\frac{1}{2}", "braces inside"],
    ["\\boxed{\\boxed{7}}", "\\boxed{7}", "a box in a box"],
    ["\\fbox{3}", "3", "fbox"],
    ["\\boxed{3} and then \\boxed{4", "3", "a box that is not closed"],
    ["\\boxed{\\{1,2\\}}", "\\{1,2\\}", "escaped braces"],
    ["\\boxed{-2} \\quad \\text{and} \\quad \\boxed{1}.", "-2, 1", "boxes joined by and"],
    ["\\(\\boxed{6}\\) or \\(\\boxed{8}\\)", "6, 8", "boxes joined by or"],
    ["\\boxed{5}, so again \\boxed{5}", "5", "the same box twice"],
    ["\\boxed{28}\\% of them", "28\\%", "a percent sign behind the box"],
    ["<think>\\boxed{1}</think> It is \\boxed{2}", "2", "after the thinking"],
  ])("boxed: %p gives %p (%s)", async (response, extracted) => {
    expect((await judge(boxed, response, "0.123")).extracted).toBe(extracted);
  });

  test.each([["The answer is 5."], ["#### 5"], ["<think>\\boxed{5}</think> and so on"], ["<think>\\boxed{5}"], [""]])(
    "boxed takes nothing else: %p",
    async (response) => {
      expect(await judge(boxed, response, "5")).toMatchObject({
        outcome: "wrong",
        extracted: undefined,
        reason: "The response has no complete \\boxed{} answer.",
      });
    },
  );

  test.each([
    ["The answer is 5.", "5"],
    ["Work: 3 + 4 = 7\n#### 7", "7"],
    ["3 + 4 = 7\nAnswer: 7", "7"],
    ["First \\boxed{3}. Final Answer: The final answer is $4$. I hope it is correct.", "$4$"],
    ["Final Answer: The largest $n$ is 34.", "34"],
    ["She has 3 apples and eats 1, so 2 are left.", "2"],
    ["We get $x = 7$ in the end.", "x = 7"],
    ["<answer>12</answer>", "12"],
    ["It costs $1,234.50 in all.", "1,234.50"],
  ])("lenient: %p gives %p", async (response, extracted) => {
    expect((await judge(lenient, response, "0.123")).extracted).toBe(extracted);
  });

  test.each([
    ["The answer is for sure D, it can't be A or B", "D"],
    ["B. It is not A", "B"],
  ])("lenient, multiple choice: %p gives %p", async (response, extracted) => {
    expect((await judge(lenient, response, "D")).extracted).toBe(extracted);
  });

  test("a reference may be a whole solution", async () => {
    expect((await judge(boxed, "\\boxed{72}", "He sold 48+24 = <<48+24=72>>72 clips.\n#### 72")).outcome).toBe("correct");
    expect((await judge(boxed, "\\boxed{72}", "Adding them gives $\\boxed{72}$ clips.")).outcome).toBe("correct");
  });
});

describe("options", () => {
  test("decimalTolerance lets a rounded decimal count", async () => {
    const loose = mathVerifier({ decimalTolerance: 0.01 });
    expect((await judge(loose, "\\boxed{0.33}", "\\frac{1}{3}")).outcome).toBe("correct");
    expect((await judge(loose, "\\boxed{4.49e33}", "4.5e33")).outcome).toBe("correct");
    expect((await judge(loose, "\\boxed{0.32}", "\\frac{1}{3}")).outcome).toBe("wrong");
    expect((await judge(loose, "\\boxed{99}", "100")).outcome).toBe("wrong"); // no decimal among them
  });

  test("bad options are refused by name", () => {
    expect(() => mathVerifier({ extract: "all" as "boxed" })).toThrow(/extract/);
    expect(() => mathVerifier({ tolerance: -1 })).toThrow(/tolerance/);
    expect(() => mathVerifier({ timeoutMs: 0.5 })).toThrow(/timeoutMs/);
    expect(() => mathVerifier({ processes: 0 })).toThrow(/processes/);
  });
});

describe("a reference that is no answer", () => {
  test.each([
    ["", "empty"],
    [null as unknown as string, "string"],
  ])("%p is an error", async (answer, word) => {
    const verdict = await judge(boxed, "\\boxed{1}", answer);
    expect(verdict.outcome).toBe("error");
    expect(verdict.reason).toContain(word);
  });
});
