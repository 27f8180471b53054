// The code verifier on all of HumanEval, MBPP and LeetCode: which canonical solutions pass, which spoilt ones do not fail, and how many go through in a
// second. bun test/bench/verifier_code.ts
import { availableParallelism, loadavg } from "node:os";
import { codeVerifier } from "../../ts/verifiers/code.ts";
import type { Verdict } from "../../ts/verifiers/types.ts";
import { type CodeProblem, codeItem, constantSolution, haveCodeData, humanEval, leetCode, mbpp, offByOneSolution } from "../support/code_data.ts";

if (!haveCodeData) {
  console.log("skipped: no code data beside the checkout");
  process.exit(0);
}

const verifier = codeVerifier();
await verifier.verify([codeItem("def f(): return 1", JSON.stringify({ tests: ["assert f() == 1"] }))]); // the first start makes the memory image

async function measure(name: string, problems: CodeProblem[], solutionOf: (problem: CodeProblem) => string, expected: "correct" | "wrong"): Promise<void> {
  const start = performance.now();
  const verdicts = await verifier.verify(problems.map((problem) => codeItem(solutionOf(problem), problem.answer)));
  const seconds = (performance.now() - start) / 1000;
  const count = (outcome: Verdict["outcome"]) => verdicts.filter((verdict) => verdict.outcome === outcome).length;
  const outcomes = (["correct", "wrong", "timeout", "error"] as const).map((outcome) => `${count(outcome)} ${outcome}`).join(", ");
  console.log(`${name}: ${outcomes}; ${(problems.length / seconds).toFixed(1)} solutions/s`);
  for (const [i, { outcome, reason }] of verdicts.entries()) if (outcome !== expected) console.log(`  ${problems[i].id}: ${outcome}. ${reason}`);
}

for (const [name, problems] of Object.entries({ HumanEval: humanEval(), MBPP: mbpp() })) {
  await measure(`${name}, canonical`, problems, (problem) => problem.solution, "correct");
  await measure(`${name}, a constant`, problems, constantSolution, "wrong");
  await measure(`${name}, off by one`, problems, offByOneSolution, "wrong");
  await measure(`${name}, empty body`, problems, (problem) => problem.empty, "wrong");
}
await measure("LeetCode, empty body", leetCode(), (problem) => problem.empty, "wrong");
console.log(`${availableParallelism()} cores, load ${loadavg()[0].toFixed(1)}`);
await verifier.close?.();
