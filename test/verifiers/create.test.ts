// Verifiers by name.
import { expect, test } from "bun:test";
import { createVerifier, VERIFIER_NAMES } from "../../ts/verifiers/create.ts";

test("every name makes a verifier of its kind, with its options", async () => {
  expect(VERIFIER_NAMES.map((name) => createVerifier(name).name)).toEqual(["arithmetic", "math", "code", "by ability (math, code)"]);
  const item = { prompt: "", response: "The answer is 0.5.", answer: "\\frac12", ability: "math" };
  const outcome = async (...args: Parameters<typeof createVerifier>) => (await createVerifier(...args).verify([item]))[0].outcome;
  expect(await outcome("math")).toBe("wrong");
  expect(await outcome("math", { math: { extract: "lenient" } })).toBe("correct");
  expect(await outcome("auto", { math: { extract: "lenient" } })).toBe("correct");
});

test("another name is refused", () => {
  expect(() => createVerifier("maths" as "math")).toThrow(/one of arithmetic, math, code, auto/);
});
