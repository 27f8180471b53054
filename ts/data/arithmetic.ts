// The built-in task: generated multi-step arithmetic, worked in PRIME's action format. Everything is a pure function of (seed, index).
import { PrimekitError, rangeError, typeError } from "../errors.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { arithmeticVerifier } from "../verifiers/arithmetic.ts";
import { demonstrate, drawExpression, drawHabits, type Expression, evaluate, expressionText, type ProblemRanges } from "./arithmetic_problem.ts";
import { checkSteps } from "./arithmetic_steps.ts";
import tokenizerJson from "./arithmetic_tokenizer/tokenizer.json" with { type: "json" };
import tokenizerConfig from "./arithmetic_tokenizer/tokenizer_config.json" with { type: "json" };
import { Draws } from "./random.ts";
import type { Task } from "./task.ts";
import type { Example, Problem } from "./types.ts";

export interface ArithmeticOptions extends Partial<ProblemRanges> {
  seed?: number; // default 0
  /** Chance that a demonstration slips, per step where a slip is possible. Default 0.1. */
  slipRate?: number;
  /** Share of the possible slips that lie where the wrong way is a habit, and the chance of a slip there. Defaults 0.4 and 0.8. */
  habitShare?: number;
  habitRate?: number;
  heldOutSize?: number; // default 256
}

type Split = "demonstration" | "train" | "held-out";

/** What arithmeticTask() uses for options that are left out. */
export const arithmeticDefaults = {
  seed: 0,
  minSteps: 3,
  maxSteps: 5,
  starts: [10, 99],
  operands: [2, 9],
  factors: [2, 9],
  operations: ["+", "-", "*"],
  slipRate: 0.1,
  habitShare: 0.4,
  habitRate: 0.8,
  heldOutSize: 256,
} as const;
const STREAM = { demonstration: 1, train: 2, "held-out": 3, habits: 4 } as const;
const MAX_ATTEMPTS = 100_000;

/**
 * The task with its tokenizer, problems and verifier. Demonstrations are imperfect: see SlipRates in arithmetic_problem.ts.
 * Throws TypeError/RangeError for bad options; `at` throws ERR_DATA when the ranges leave no problem for a split.
 */
export function arithmeticTask(options: ArithmeticOptions = {}): Task {
  const settings = checkOptions({ ...arithmeticDefaults, ...options });
  const { seed } = settings;
  const tokenizer = Tokenizer.fromJson(tokenizerJson, tokenizerConfig);
  const rates = { slipRate: settings.slipRate, habitRate: settings.habitRate, habits: drawHabits(seed, STREAM.habits, settings.habitShare) };
  const toProblem = (expression: Expression, id: string): Problem => ({
    id,
    prompt: tokenizer.chat([{ role: "user", content: expressionText(expression) }], { addGenerationPrompt: true }),
    answer: String(evaluate(expression)),
    level: expression.steps.length,
  });
  const exampleAt = (index: number): Example => {
    const { expression, draws } = drawFor("demonstration", seed, index, settings);
    return { ...toProblem(expression, `demonstration-${index}`), response: demonstrate(expression, draws, rates) };
  };
  return {
    name: "arithmetic",
    tokenizer,
    demonstrations: { at: exampleAt },
    train: { at: (index) => toProblem(drawFor("train", seed, index, settings).expression, `train-${index}`) },
    heldOut: heldOutExpressions(settings).map((expression, i) => toProblem(expression, `held-out-${i}`)),
    verifier: arithmeticVerifier,
    checkSteps,
  };
}

/** Which set a problem belongs to: decided by its text alone, so the sets are disjoint whatever the seeds. */
export function splitOf(expression: string): Split {
  let hash = 0x811c9dc5; // FNV-1a, then one round of mixing, as its low bits are weak
  for (let i = 0; i < expression.length; i++) hash = Math.imul(hash ^ expression.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  const bucket = (hash ^ (hash >>> 13)) & 15;
  return bucket === 0 ? "held-out" : bucket < 8 ? "demonstration" : "train";
}

// --- internal ---

type Settings = ProblemRanges & { seed: number; slipRate: number; habitShare: number; habitRate: number; heldOutSize: number };

/** Draws until an expression falls into the split; on average two to sixteen attempts. */
function drawFor(split: Split, seed: number, index: number, ranges: ProblemRanges): { expression: Expression; draws: Draws } {
  if (!Number.isSafeInteger(index) || index < 0) throw rangeError("index", "a non-negative integer", index);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const draws = new Draws(seed, STREAM[split], index, attempt);
    const expression = drawExpression(draws, ranges);
    if (expression && splitOf(expressionText(expression)) === split) return { expression, draws };
  }
  throw new PrimekitError("ERR_DATA", `No ${split} problem was found in ${MAX_ATTEMPTS} draws; widen the ranges of operands, steps or operations.`);
}

/** The first heldOutSize distinct held-out problems. */
function heldOutExpressions(settings: Settings): Expression[] {
  const found = new Map<string, Expression>();
  const limit = 20 * settings.heldOutSize + 100;
  for (let index = 0; found.size < settings.heldOutSize; index++) {
    if (index === limit)
      throw new PrimekitError(
        "ERR_DATA",
        `Only ${found.size} distinct held-out problems were found; heldOutSize asks for ${settings.heldOutSize}. Widen the ranges or ask for fewer.`,
      );
    const { expression } = drawFor("held-out", settings.seed, index, settings);
    found.set(expressionText(expression), expression);
  }
  return [...found.values()];
}

function checkOptions(options: Settings): Settings {
  const integer = (name: keyof Settings, low: number) => {
    const value = options[name];
    if (typeof value !== "number") throw typeError(name, "a number", value);
    if (!Number.isSafeInteger(value) || value < low) throw rangeError(name, `an integer of at least ${low}`, value);
  };
  integer("seed", 0);
  integer("minSteps", 1);
  integer("maxSteps", options.minSteps);
  integer("heldOutSize", 0);
  for (const name of ["slipRate", "habitShare", "habitRate"] as const) {
    if (!(options[name] >= 0 && options[name] <= 1)) throw rangeError(name, "between 0 and 1", options[name]);
  }
  for (const name of ["starts", "operands", "factors"] as const) {
    const [low, high] = options[name];
    if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || low < 1 || high < low || high > 1e6)
      throw rangeError(name, "two integers, low to high, in 1 .. 1000000", options[name]);
  }
  const known = options.operations.filter((operation) => ["+", "-", "*"].includes(operation));
  if (known.length !== options.operations.length || known.length === 0)
    throw rangeError("operations", 'one or more of "+", "-", "*"', options.operations.join(" "));
  if (options.maxSteps > 1 && known.every((operation) => operation === "*"))
    throw rangeError("operations", 'with "+" or "-" when maxSteps is above 1 (a product only comes first)', "*");
  return options;
}
