// Published problems: canonical solutions pass, spoilt ones fail. A spread sample here, all of them in test/bench/verifier_code.ts.
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { codeVerifier } from "../../ts/verifiers/code.ts";
import { type CodeProblem, codeItem, constantSolution, haveCodeData, humanEval, leetCode, mbpp, offByOneSolution } from "../support/code_data.ts";

setDefaultTimeout(300_000);
if (!haveCodeData) console.log("skipped: HumanEval, MBPP and LeetCode are not beside the checkout");

const verifier = codeVerifier({ processes: 2 });
afterAll(() => verifier.close?.());

const TOLERANT = new Set(["MBPP/82", "MBPP/85"]); // their tests allow 0.1 %, which one more is

const spread = (problems: CodeProblem[], count: number) => Array.from({ length: count }, (_, i) => problems[Math.floor((i * problems.length) / count)]);

async function expectAll(problems: CodeProblem[], solutionOf: (problem: CodeProblem) => string, outcome: string): Promise<void> {
  const verdicts = await verifier.verify(problems.map((problem) => codeItem(solutionOf(problem), problem.answer)));
  for (const [i, { id }] of problems.entries()) expect(`${id}: ${verdicts[i].outcome}`, verdicts[i].reason).toBe(`${id}: ${outcome}`);
}

for (const [name, load] of Object.entries({ HumanEval: humanEval, MBPP: mbpp })) {
  test.skipIf(!haveCodeData)(`${name}: canonical solutions pass; a constant, off by one and an empty body fail`, async () => {
    const problems = spread(load(), 14);
    await expectAll(problems, (problem) => problem.solution, "correct");
    const [a, b, c] = [0, 1, 2].map((k) => problems.filter(({ id }, i) => i % 3 === k && !TOLERANT.has(id)));
    await expectAll(a, constantSolution, "wrong");
    await expectAll(b, offByOneSolution, "wrong");
    await expectAll(c, (problem) => problem.empty, "wrong");
  });
}

const LEETCODE: Record<string, [right: string, wrong: string]> = {
  "minimum-number-of-pushes-to-type-word-i": [
    "class Solution:\n    def minimumPushes(self, word: str) -> int:\n        return sum(i // 8 + 1 for i in range(len(word)))",
    "class Solution:\n    def minimumPushes(self, word: str) -> int:\n        return sum(i // 9 + 1 for i in range(len(word)))",
  ],
  "separate-black-and-white-balls": [
    "class Solution:\n    def minimumSteps(self, s: str) -> int:\n        ones = steps = 0\n        for c in s:\n            if c == '1': ones += 1\n            else: steps += ones\n        return steps",
    "class Solution:\n    def minimumSteps(self, s: str) -> int:\n        return s.count('10')",
  ],
  "count-symmetric-integers": [
    "class Solution:\n    def countSymmetricIntegers(self, low: int, high: int) -> int:\n        def good(t):\n            h = len(t) // 2\n            return len(t) % 2 == 0 and sum(map(int, t[:h])) == sum(map(int, t[h:]))\n        return sum(good(str(x)) for x in range(low, high + 1))",
    "class Solution:\n    def countSymmetricIntegers(self, low: int, high: int) -> int:\n        return sum(str(x) == str(x)[::-1] for x in range(low, high + 1))",
  ],
};

test.skipIf(!haveCodeData)("LeetCode: the cases run; right solutions pass, wrong and empty ones fail", async () => {
  const problems = leetCode();
  const known = Object.keys(LEETCODE).map((title) => problems.find(({ id }) => id.endsWith(title)) as CodeProblem);
  const solution = (k: 0 | 1) => (problem: CodeProblem) => LEETCODE[Object.keys(LEETCODE)[known.indexOf(problem)]][k];
  await expectAll(known, solution(0), "correct");
  await expectAll(known, solution(1), "wrong");
  await expectAll(spread(problems, 6), (problem) => problem.empty, "wrong");
});
