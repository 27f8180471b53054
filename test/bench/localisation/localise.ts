// Part 1: answers with one error at a random step. Which step has the lowest reward?
import { areaUnderCurve } from "../../../ts/algo/prm_metrics.ts";
import { arithmeticTask } from "../../../ts/data/arithmetic.ts";
import { type AfterError, solutionWithError, solutionWithSlip, workedSolution } from "../../../ts/data/arithmetic_errors.ts";
import { checkSteps } from "../../../ts/data/arithmetic_steps.ts";
import { type PrmExample, splitSteps } from "../../../ts/data/prm/example.ts";
import type { Task } from "../../../ts/data/task.ts";
import type { Problem } from "../../../ts/data/types.ts";
import { judgeAnswers } from "../../../ts/eval/process.ts";
import type { Model } from "../../../ts/model.ts";
import { sampleGroups } from "../../../ts/rollout/sample.ts";
import { runPrm } from "../../../ts/train/prm.ts";
import { runSft } from "../../../ts/train/sft.ts";
import type { StartModel } from "../localisation.ts";

export const LOCALISE = { fineTuning: 800, examples: 6_400, batchSize: 64, lr: 1e-3, beta: 1, heldOut: 500 } as const;
const BETA = LOCALISE.beta;

/** What the errors are, and how often the demonstrations that the model is fine-tuned on have one where they can. */
export const SETTINGS = {
  /** A wrong number. The fine-tuned model, which has seen few errors and no such ones, finds it unlikely. */
  "any wrong number": { slipRate: 0.1, wrong: solutionWithError },
  /** A forgotten carry. The fine-tuned model finds it as likely as the right result: demonstrations forget every second one. */
  "a forgotten carry": { slipRate: 0.5, wrong: solutionWithSlip },
} as const;

type Setting = (typeof SETTINGS)[keyof typeof SETTINGS];

/** An answer to judge: its steps and which of them is wrong. */
interface Case {
  problem: Problem;
  response: string;
  wrong: number; // index of the step
  steps: number;
}

export interface Score {
  cases: number;
  hits: number; // the wrong step has the lowest reward
  chance: number; // expected number of hits of a guess
  auc: number; // of step rewards against step correctness, all steps of all cases
}

/** By error, by what the later steps do, by judge. */
export type Found = Record<string, Record<string, Record<string, Score>>>;

export async function localise(seed: number, startModel: StartModel): Promise<Found> {
  const found: Found = {};
  for (const [name, setting] of Object.entries(SETTINGS)) found[name] = await localiseErrors(seed, setting, startModel);
  return found;
}

// --- internal ---

async function localiseErrors(seed: number, setting: Setting, startModel: StartModel): Promise<Found[string]> {
  const { slipRate } = setting;
  const task = arithmeticTask({
    seed,
    minSteps: 4,
    maxSteps: 7,
    operations: ["+"],
    starts: [2, 29],
    slipRate,
    habitShare: 0,
    habitRate: 0,
    heldOutSize: LOCALISE.heldOut,
  });
  const config = { steps: LOCALISE.fineTuning, batchSize: 16, lr: 5e-3, beta2: 0.95, seed, maxNewTokens: 100 };
  using reference = await startModel(`slips-${slipRate}-${seed}`, seed, task.tokenizer, (model) => runSft({ config, task, model }));
  const sets: Record<string, Case[]> = {
    "later steps work on from it": injected(task, setting, seed, "on"),
    "later steps return to the true values": injected(task, setting, seed, "back"),
    "the fine-tuned model's own answers with one wrong step": await ownErrors(task, reference),
  };
  const found: Found[string] = Object.fromEntries(Object.keys(sets).map((name) => [name, {}]));
  for (const [judge, bySteps] of [
    ["outcomes", false],
    ["step labels", true],
  ] as const) {
    using prm = await trained(reference, task, trainingData(task, setting, seed, bySteps), seed);
    for (const [name, cases] of Object.entries(sets)) found[name][`PRM from ${judge}`] = scoreCases(cases, await rewardsOf(prm, reference, task, cases));
  }
  for (const [name, cases] of Object.entries(sets)) found[name]["no PRM: least likely step"] = scoreCases(cases, await surprises(reference, task, cases));
  return found;
}

function injected(task: Task, { wrong }: Setting, seed: number, after: AfterError): Case[] {
  return task.heldOut.flatMap((problem, i) => {
    const solution = wrong(problem, seed + 1000, i, after); // a problem without a carry has none to forget
    return solution?.errorStep === undefined ? [] : [{ problem, response: solution.response, wrong: solution.errorStep, steps: solution.steps }];
  });
}

/** Answers of the fine-tuned model at temperature 1 in which exactly one step is wrong, given what it starts from. */
async function ownErrors(task: Task, model: Model): Promise<Case[]> {
  const problems = task.heldOut.map((problem, position) => ({ position, problem }));
  const groups = await sampleGroups(model, task, problems, { samples: 2, maxNewTokens: 100, temperature: 1, seed: 1, firstSequence: 0n });
  return groups.flatMap(({ problem, samples }) =>
    samples.flatMap(({ text, truncated }) => {
      const correct = checkSteps(problem, text).map((check) => check.correct);
      const isOne = correct.filter((right) => !right).length === 1;
      return truncated || !isOne ? [] : [{ problem, response: text, wrong: correct.indexOf(false), steps: correct.length }];
    }),
  );
}

/** Half of the answers right, half with one error; labelled by outcome, or (for comparison) by step. */
function trainingData(task: Task, { wrong }: Setting, seed: number, bySteps: boolean): PrmExample[] {
  const examples: PrmExample[] = [];
  for (let index = 0; examples.length < LOCALISE.examples; index++) {
    const problem = task.train.at(index);
    const solution = examples.length % 2 === 0 ? workedSolution(problem) : wrong(problem, seed, index);
    if (!solution) continue;
    const { response, errorStep = Number.POSITIVE_INFINITY } = solution;
    const steps = splitSteps(response, "line");
    const labels = bySteps ? { stepLabels: steps.map((_, k) => Number(k < errorStep)) } : { label: Number(solution.errorStep === undefined) };
    examples.push({ id: String(index), prompt: problem.prompt, steps, group: String(index), ...labels });
  }
  return examples;
}

async function trained(reference: Model, task: Task, examples: PrmExample[], seed: number): Promise<Model> {
  const model = await reference.clone({ trainable: true });
  const { batchSize, lr, beta } = LOCALISE;
  await runPrm({
    config: { batchSize, lr, beta, warmupSteps: 10, decay: "linear", beta2: 0.95, evalShare: 0, seed },
    tokenizer: task.tokenizer,
    examples,
    model,
    reference,
  });
  return model;
}

async function rewardsOf(prm: Pick<Model, "logprobs">, reference: Pick<Model, "logprobs">, task: Task, cases: Case[]): Promise<number[][]> {
  const examples = cases.map(({ problem, response }) => ({ id: problem.id, prompt: problem.prompt, steps: splitSteps(response, "line"), group: problem.id }));
  const answers = await judgeAnswers({ prm, reference }, task.tokenizer, examples, { beta: BETA, maxTokensPerBatch: 8192 });
  return answers.map((answer) => answer.steps.map((step) => step.reward));
}

/** For comparison, no PRM at all: each step's log-prob under the fine-tuned model (a reward against a reference that finds everything equally likely). */
function surprises(model: Model, task: Task, cases: Case[]): Promise<number[][]> {
  const indifferent: Pick<Model, "logprobs"> = {
    logprobs: async (batch, options) => {
      const scores = await model.logprobs(batch, options);
      return { ...scores, logprobs: new Float32Array(scores.logprobs.length) };
    },
  };
  return rewardsOf(model, indifferent, task, cases);
}

function scoreCases(cases: Case[], rewards: number[][]): Score {
  const labels = cases.flatMap(({ wrong, steps }) => Array.from({ length: steps }, (_, k) => Number(k !== wrong)));
  return {
    cases: cases.length,
    hits: cases.filter(({ wrong }, i) => rewards[i].indexOf(Math.min(...rewards[i])) === wrong).length,
    chance: cases.reduce((sum, { steps }) => sum + 1 / steps, 0),
    auc: areaUnderCurve(rewards.flat(), labels) as number,
  };
}
