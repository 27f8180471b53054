// Solutions with one error on purpose: exactly one wrong step, where it says, and the answer that follows from it.
import { expect, test } from "bun:test";
import { arithmeticTask } from "../../ts/data/arithmetic.ts";
import { solutionWithError, solutionWithSlip, workedSolution } from "../../ts/data/arithmetic_errors.ts";
import { checkSteps } from "../../ts/data/arithmetic_steps.ts";
import { lastBoxed } from "../../ts/verifiers/boxed.ts";

const task = arithmeticTask({ minSteps: 2, maxSteps: 6, operations: ["+", "-"], heldOutSize: 300 });

test("without an error every step and the answer are right", () => {
  for (const problem of task.heldOut) {
    const { response, errorStep, steps } = workedSolution(problem);
    const checks = checkSteps(problem, response);
    expect([errorStep, checks.length, checks.every((check) => check.correct), lastBoxed(response)]).toEqual([undefined, steps, true, problem.answer]);
  }
});

test("worked on from: one step is wrong, and the answer", () => {
  const places = new Set<string>();
  task.heldOut.forEach((problem, i) => {
    const { response, errorStep = -1 } = solutionWithError(problem, 1, i);
    const checks = checkSteps(problem, response);
    expect(checks.map((check) => check.correct)).toEqual(checks.map((_, k) => k !== errorStep));
    expect(lastBoxed(response)).not.toBe(problem.answer);
    expect(checks[errorStep].line).not.toContain("=-"); // later steps may get there by subtracting
    places.add(`${errorStep}/${checks.length}`);
    expect(solutionWithError(problem, 1, i)).toEqual(solutionWithError(problem, 1, i));
  });
  expect(places.size).toBe(2 + 3 + 4 + 5 + 6); // every step of every length
});

test("returned from: the later steps and the answer are the right ones", () => {
  let compared = 0;
  task.heldOut.forEach((problem, i) => {
    const { response, errorStep = -1, steps } = solutionWithError(problem, 2, i, "back");
    const right = workedSolution(problem).response.split("\n");
    const differing = response.split("\n").flatMap((line, k) => (line === right[k] ? [] : [k]));
    expect(differing).toEqual(errorStep === steps - 2 ? [errorStep, errorStep + 1] : [errorStep]);
    compared++;
  });
  expect(compared).toBe(300);
});

test("a slip is a forgotten carry or borrow, where the problem has one", () => {
  let slips = 0;
  task.heldOut.forEach((problem, i) => {
    const solution = solutionWithSlip(problem, 3, i);
    if (!solution) return;
    const checks = checkSteps(problem, solution.response);
    expect(checks.map((check) => check.correct)).toEqual(checks.map((_, k) => k !== solution.errorStep));
    const [, a, operation, b, result] = /(\d+)([+-])(\d+)=(\d+)/.exec(checks[solution.errorStep ?? -1].line) ?? [];
    if (operation === "+") expect(Number(result)).toBe(Number(a) + Number(b) - 10);
    slips++;
  });
  expect(slips).toBeGreaterThan(200);
});
