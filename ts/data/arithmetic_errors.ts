// Worked solutions of the built-in task with one error put in on purpose: what a process reward model is tested on.

import { PrimekitError, rangeError } from "../errors.ts";
import { apply, type Expression, parseExpression, slipOf } from "./arithmetic_problem.ts";
import { Draws } from "./random.ts";
import type { Problem } from "./types.ts";

/**
 * What the steps after the wrong one do. "on": they work on rightly from the wrong value, as a model does, so the answer is wrong too.
 * "back": they return to the true values, as if nothing had happened, so the answer is right (unless the last step was the wrong one).
 */
export type AfterError = "on" | "back";

export interface WorkedSolution {
  response: string; // one step a line, then the boxed answer; without the end-of-text token
  /** The step with the error, from 0; undefined in a solution without one. */
  errorStep: number | undefined;
  steps: number; // lines, the boxed answer included
}

const STREAM = 16; // beside the streams of arithmetic.ts

/** The solution without any error. Throws ERR_DATA for a problem without an expression. */
export function workedSolution(problem: Pick<Problem, "id" | "prompt">): WorkedSolution {
  return write(expressionOf(problem), undefined, 0, "on");
}

/**
 * A solution with one wrong result at a random calculation; the error is a number from 1 to 9, or 10, up or down, never below zero.
 * The same for the same (problem, seed, index).
 */
export function solutionWithError(problem: Pick<Problem, "id" | "prompt">, seed: number, index: number, after: AfterError = "on"): WorkedSolution {
  if (!Number.isSafeInteger(index) || index < 0) throw rangeError("index", "a non-negative integer", index);
  const expression = expressionOf(problem);
  const draws = new Draws(seed, STREAM, index);
  const errorStep = draws.integer(0, expression.steps.length - 1);
  const size = draws.integer(1, 10);
  return write(expression, errorStep, draws.chance(0.5) ? size : -size, after);
}

/**
 * The same with the slip that learners make (see slipOf: a forgotten carry, …) at a random calculation where one is possible; undefined where none is.
 * A model that learned from demonstrations with such slips finds them likely.
 */
export function solutionWithSlip(problem: Pick<Problem, "id" | "prompt">, seed: number, index: number, after: AfterError = "on"): WorkedSolution | undefined {
  const expression = expressionOf(problem);
  let value = expression.first;
  const slips = expression.steps.flatMap(({ operation, operand }, step) => {
    const [slip, right] = [slipOf(value, operation, operand), apply(value, operation, operand)];
    value = right;
    return slip === undefined ? [] : [{ step, error: slip - right }];
  });
  if (slips.length === 0) return undefined;
  const { step, error } = new Draws(seed, STREAM, index).pick(slips);
  return write(expression, step, error, after);
}

// --- internal ---

function expressionOf(problem: Pick<Problem, "id" | "prompt">): Expression {
  const expression = parseExpression(problem.prompt);
  if (!expression) throw new PrimekitError("ERR_DATA", `The prompt of problem ${problem.id} holds no arithmetic expression.`);
  return expression;
}

function write({ first, steps }: Expression, errorStep: number | undefined, error: number, after: AfterError): WorkedSolution {
  let value = first;
  let text = "";
  steps.forEach(({ operation, operand }, k) => {
    const right = apply(value, operation, operand);
    const result = k !== errorStep ? right : right + error < 0 ? right - error : right + error;
    text += `[ADVANCE] ${value}${operation}${operand}=${result}\n`;
    const isLast = k === steps.length - 1;
    value = after === "back" && !isLast ? right : result;
  });
  return { response: `${text}[OUTPUT] \\boxed{${value}}`, errorStep, steps: steps.length + 1 };
}
