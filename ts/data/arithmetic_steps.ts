// Judges the steps of a response to an arithmetic problem, each given its own starting point.
import { PrimekitError } from "../errors.ts";
import { apply, type Operation, parseExpression } from "./arithmetic_problem.ts";
import type { Problem, StepCheck } from "./types.ts";

const STEP = /^\[ADVANCE\] (-?\d+)([+*-])(\d+)=(-?\d+)\n?$/;
const OUTPUT = /^\[OUTPUT\] \\boxed\{(-?\d+)\}\n?$/;

/**
 * One entry per line of the response. A step is correct when it takes up the value stated before it, uses the problem's next operation and
 * calculates rightly; an earlier mistake does not make it wrong. The boxed answer is correct when it repeats the last stated value after all steps.
 * Throws ERR_DATA for a problem without an expression.
 */
export function checkSteps(problem: Pick<Problem, "id" | "prompt">, response: string): StepCheck[] {
  const expression = parseExpression(problem.prompt);
  if (!expression) throw new PrimekitError("ERR_DATA", `The prompt of problem ${problem.id} holds no arithmetic expression.`);
  const remaining = [...expression.steps];
  let value = expression.first;
  return linesOf(response).map((line) => {
    const step = STEP.exec(line);
    if (step) {
      const start = Number(step[1]);
      const next = remaining.shift();
      const reason = stepFault(start, step[2] as Operation, Number(step[3]), Number(step[4]), value, next);
      value = Number(step[4]);
      return { line, correct: reason === undefined, reason: reason ?? "right" };
    }
    const output = OUTPUT.exec(line);
    if (!output) return { line, correct: false, reason: "neither a step nor an answer" };
    if (remaining.length > 0) return { line, correct: false, reason: `${remaining.length} steps are missing` };
    const right = Number(output[1]) === value;
    return { line, correct: right, reason: right ? "right" : `the last value was ${value}` };
  });
}

// --- internal ---

function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function stepFault(
  start: number,
  operation: Operation,
  operand: number,
  result: number,
  value: number,
  next: { operation: Operation; operand: number } | undefined,
): string | undefined {
  if (!next) return "the problem has no further step";
  if (start !== value) return `should start from ${value}`;
  if (operation !== next.operation || operand !== next.operand) return `should use ${next.operation}${next.operand}`;
  const right = apply(start, operation, operand);
  return result === right ? undefined : `${start}${operation}${operand} is ${right}`;
}
