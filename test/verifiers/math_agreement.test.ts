// The math verifier against labelled answers and the references of the PRIME paper's benchmarks; `bun test/bench/verifier_math.ts` prints the tables.
import { afterAll, describe, expect, test } from "bun:test";
import { mathVerifier } from "../../ts/verifiers/math.ts";
import { hasData } from "./math/data.ts";
import { DISAGREEMENTS } from "./math/disagreements.ts";
import { agrees, type Case, judgeCompletions, judgePairs, judgeReferences } from "./math/measure.ts";

const boxed = mathVerifier({ timeoutMs: 20_000 });
const lenient = mathVerifier({ extract: "lenient", timeoutMs: 20_000 });
afterAll(() => Promise.all([boxed.close?.(), lenient.close?.()]));

const share = (cases: Case[]) => cases.filter(agrees).length / cases.length;

describe.skipIf(!hasData)("agreement", () => {
  test("labelled pairs: at least 97 %, and every disagreement is one that is explained", async () => {
    const cases = await judgePairs(lenient);
    expect(cases.length).toBe(254);
    expect(share(cases)).toBeGreaterThanOrEqual(0.97);
    const found = cases.filter((one) => !agrees(one)).map(({ id, verdict }) => [id, verdict.outcome === "correct" ? "correct" : "not correct"]);
    expect(found).toEqual(Object.entries(DISAGREEMENTS).map(([id, { ours }]) => [Number(id), ours]));
  }, 60_000);

  test("no wrong answer is accepted: what the labels call wrong and we accept is the reference's value", async () => {
    const cases = await judgePairs(lenient);
    const accepted = cases.filter(({ expected, verdict }) => !expected && verdict.outcome === "correct");
    expect(accepted.map(({ id }) => DISAGREEMENTS[id]?.right)).toEqual(accepted.map(() => "verifier"));
  }, 60_000);

  test("1,200 real completions on GSM8K: all", async () => {
    const cases = await judgeCompletions(lenient);
    expect(cases.length).toBe(1200);
    expect(cases.filter((one) => !agrees(one)).map(({ name, verdict }) => [name, verdict.reason])).toEqual([]);
    expect(cases.every(({ verdict }) => verdict.outcome === "correct" || verdict.outcome === "wrong")).toBe(true);
  });

  test("references of five benchmarks: equal to their rewritings, different from what is changed, 99 % each way in each set", async () => {
    const sets = await judgeReferences(boxed);
    expect(Object.keys(sets)).toEqual(["MATH-500", "AIME", "AMC", "Minerva", "OlympiadBench"]);
    for (const [name, cases] of Object.entries(sets)) {
      for (const expected of [true, false]) {
        const some = cases.filter((one) => one.expected === expected);
        expect(some.length, name).toBeGreaterThan(200);
        expect(share(some), `${name}, ${expected ? "equal" : "different"}`).toBeGreaterThanOrEqual(0.99);
      }
      expect(cases.filter((one) => one.name.endsWith(": itself") && !agrees(one)).map((one) => one.name)).toEqual([]);
    }
  }, 60_000);
});
