import { expect, test } from "bun:test";
import { ACTION_PROMPT, type PromptStyle, QUESTION_SUFFIXES, styleMessages } from "../../ts/tokenizer/prompts.ts";

const question = [{ role: "user", content: "What is 1+1?" }];
const system = { role: "system", content: "mine" };

test("math and code: the action prompt in front, the suffix behind the question", () => {
  expect(styleMessages(question, "math")).toEqual([
    { role: "system", content: ACTION_PROMPT },
    { role: "user", content: "What is 1+1?\n\nPresent the answer in LaTex format: \\boxed{Your answer}" },
  ]);
  expect(styleMessages(question, "code")[1].content).toBe(
    "What is 1+1?\n\nWrite Python code to solve the problem. Present the code in \n```python\nYour code\n```\nat the end.",
  );
  expect(question).toEqual([{ role: "user", content: "What is 1+1?" }]);
  for (const action of ["ASSESS", "ADVANCE", "VERIFY", "SIMPLIFY", "SYNTHESIZE", "PIVOT", "OUTPUT"]) expect(ACTION_PROMPT).toContain(`\n[${action}]\n`);
});

test("auto goes by ability; none and other abilities change nothing", () => {
  expect(styleMessages(question, "auto", "math")).toEqual(styleMessages(question, "math"));
  expect(styleMessages(question, "auto", "code")).toEqual(styleMessages(question, "code"));
  for (const [style, ability] of [
    ["auto", undefined],
    ["auto", "poetry"],
    ["none", "math"],
  ] as [PromptStyle, string?][])
    expect(styleMessages(question, style, ability)).toEqual(question);
  expect(() => styleMessages(question, "maths" as PromptStyle)).toThrow("style must be one of none, math, code, auto");
});

test("a system message of the row stays, a suffix is not doubled, the last question gets it", () => {
  const styled = styleMessages([system, ...question], "math");
  expect(styled[0]).toEqual(system);
  expect(styleMessages(styled, "math")).toEqual(styled);
  expect(styleMessages([{ role: "user", content: `x${QUESTION_SUFFIXES.math}\n` }], "math")[1].content).toBe(`x${QUESTION_SUFFIXES.math}\n`);
  const turns = [...question, { role: "assistant", content: "2" }, { role: "user", content: "And 2+2?" }];
  expect(styleMessages(turns, "math").map(({ content }) => content.includes("boxed"))).toEqual([false, false, false, true]);
});
