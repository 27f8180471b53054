import { expect, test } from "bun:test";
import { arithmeticVerifier } from "../../ts/verifiers/arithmetic.ts";
import { lastBoxed } from "../../ts/verifiers/boxed.ts";

test("the last complete box, braces matched", () => {
  const cases: [string, string | undefined][] = [
    ["", undefined],
    ["\\boxed{5}", "5"],
    ["\\boxed{1} then \\boxed{2}", "2"],
    ["\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"],
    ["\\boxed{1} then \\boxed{2", "1"],
    ["\\boxed{\\{1\\}}", "\\{1\\}"],
    ["\\boxed{{{}", undefined],
    ["\\boxed{}", ""],
    ["\\boxed 5", undefined],
    ["\\boxed{\\boxed{3}}", "3"],
  ];
  for (const [text, expected] of cases) expect(lastBoxed(text)).toBe(expected as string);
});

test("verdicts", async () => {
  const cases: [response: string, answer: string, outcome: string, extracted: string | undefined][] = [
    ["[OUTPUT] \\boxed{132}", "132", "correct", "132"],
    ["\\boxed{ +132 }", "132", "correct", "+132"],
    ["\\boxed{-7}", "-7", "correct", "-7"],
    ["\\boxed{007}", "7", "correct", "007"],
    ["\\boxed{12345678901234567890}", "12345678901234567891", "wrong", "12345678901234567890"], // beyond doubles
    ["\\boxed{122}", "132", "wrong", "122"],
    ["\\boxed{132} or \\boxed{1}", "132", "wrong", "1"],
    ["\\boxed{1e2}", "100", "wrong", "1e2"],
    ["\\boxed{60+72}", "132", "wrong", "60+72"],
    ["\\boxed{0x10}", "16", "wrong", "0x10"],
    ["\\boxed{}", "0", "wrong", ""],
    ["132", "132", "wrong", undefined],
    ["", "132", "wrong", undefined],
    ["\\boxed{1}", "one", "error", undefined],
  ];
  const verdicts = await arithmeticVerifier.verify(cases.map(([response, answer]) => ({ prompt: "", response, answer })));
  expect(verdicts.map(({ outcome, extracted }) => [outcome, extracted])).toEqual(cases.map(([, , outcome, extracted]) => [outcome, extracted]));
  for (const { score, outcome, reason } of verdicts) {
    expect(score).toBe(outcome === "correct" ? 1 : 0);
    expect(reason).toEndWith(".");
  }
});

test("an aborted signal rejects", async () => {
  await expect(arithmeticVerifier.verify([], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ERR_ABORTED" });
  expect(await arithmeticVerifier.verify([])).toEqual([]);
});
