// Part 1: answers with one error at a random step. Which step has the lowest reward?
import { areaUnderCurve } from "../../../ts/algo/prm_metrics.ts";
import { arithmeticTask } from "../../../ts/data/arithmetic.ts";
import { type AfterError, solutionWithError, workedSolution } from "../../../ts/data/arithmetic_errors.ts";
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

export const LOCALISE = { fineTuning: 800, examples: 12_800, batchSize: 64, lr: 1e-3, beta: 1, heldOut: 500 } as const;
const BETA = LOCALISE.beta;

/** An answer to judge: its steps and which of them is the first wrong one. */
interface Case {
  problem: Problem;
  response: string;
  wrong: number; // index of the step
  correct: boolean[]; // of every step, given what it starts from
}

export interface Score {
  cases: number;
  hits: number; // the first wrong step has the lowest reward
  chance: number; // expected number of hits of a guess
  auc: number; // of step rewards against step correctness, all steps of all cases
}

/** By kind of answer (error worked on from, returned from, the model's own), by judge. */
export type Found = Record<string, Record<string, Score>>;

export async function localise(seed: number, startModel: StartModel): Promise<Found> {
  const task = arithmeticTask({
    seed,
    minSteps: 4,
    maxSteps: 7,
    operations: ["+"],
    starts: [2, 29],
    slipRate: 0.1,
    habitShare: 0,
    habitRate: 0,
    heldOutSize: LOCALISE.heldOut,
  });
  const config = { steps: LOCALISE.fineTuning, batchSize: 16, lr: 5e-3, beta2: 0.95, seed, maxNewTokens: 100 };
  using reference = await startModel(`sft-${seed}`, seed, task.tokenizer, (model) => runSft({ config, task, model }));
  const sets: Record<string, Case[]> = {
    "works on from it": injected(task, seed, "on"),
    "returns to the true values": injected(task, seed, "back"),
    "the model's own errors": await ownErrors(task, reference),
  };
  const found: Found = Object.fromEntries(Object.keys(sets).map((name) => [name, {}]));
  const judges = { outcomes: trainingData(task, seed, false), "step labels": trainingData(task, seed, true) };
  for (const [judge, examples] of Object.entries(judges)) {
    using prm = await trained(reference, task, examples, seed);
    for (const [name, cases] of Object.entries(sets)) found[name][judge] = scoreCases(cases, await rewardsOf(prm, reference, task, cases));
  }
  for (const [name, cases] of Object.entries(sets))
    found[name]["fine-tuned model's own log-probs"] = scoreCases(cases, await surprises(reference, task, cases));
  return found;
}

// --- internal ---

function injected(task: Task, seed: number, after: AfterError): Case[] {
  return task.heldOut.map((problem, i) => {
    const { response, errorStep = 0, steps } = solutionWithError(problem, seed + 1000, i, after);
    return { problem, response, wrong: errorStep, correct: Array.from({ length: steps }, (_, k) => k !== errorStep) };
  });
}

/** Wrong answers that the fine-tuned model gives at temperature 1, where the task can say which step is the first wrong one. */
async function ownErrors(task: Task, model: Model): Promise<Case[]> {
  const problems = task.heldOut.map((problem, position) => ({ position, problem }));
  const groups = await sampleGroups(model, task, problems, { samples: 1, maxNewTokens: 100, temperature: 1, seed: 1, firstSequence: 0n });
  return groups.flatMap(({ problem, samples: [sample] }) => {
    const correct = checkSteps(problem, sample.text).map((check) => check.correct);
    const wrong = correct.indexOf(false);
    return sample.truncated || wrong < 0 ? [] : [{ problem, response: sample.text, wrong, correct }];
  });
}

/** Half of the answers right, half with one error; labelled by outcome, or (for comparison) by step. */
function trainingData(task: Task, seed: number, bySteps: boolean): PrmExample[] {
  return Array.from({ length: LOCALISE.examples }, (_, i) => {
    const problem = task.train.at(i);
    const { response, errorStep = Number.POSITIVE_INFINITY } = i % 2 === 0 ? workedSolution(problem) : solutionWithError(problem, seed, i);
    const steps = splitSteps(response, "line");
    const labels = bySteps ? { stepLabels: steps.map((_, k) => Number(k < errorStep)) } : { label: Number(i % 2 === 0) };
    return { id: String(i), prompt: problem.prompt, steps, group: String(i), ...labels };
  });
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
  const all = cases.flatMap(({ correct }, i) => correct.map((right, k) => ({ right: Number(right), reward: rewards[i][k] })));
  return {
    cases: cases.length,
    hits: cases.filter(({ wrong }, i) => rewards[i].indexOf(Math.min(...rewards[i])) === wrong).length,
    chance: cases.reduce((sum, _, i) => sum + 1 / rewards[i].length, 0),
    auc: areaUnderCurve(
      all.map(({ reward }) => reward),
      all.map(({ right }) => right),
    ) as number,
  };
}
