// Part 2: sixteen answers to each held-out problem. Greedy decoding, a majority vote, or the PRM's choice?
import { arithmeticTask } from "../../../ts/data/arithmetic.ts";
import { parseExpression } from "../../../ts/data/arithmetic_problem.ts";
import { type PrmExample, splitSteps } from "../../../ts/data/prm/example.ts";
import { Draws } from "../../../ts/data/random.ts";
import type { Task } from "../../../ts/data/task.ts";
import type { Example } from "../../../ts/data/types.ts";
import { judgeAnswers, type ScoredAnswer } from "../../../ts/eval/process.ts";
import type { Model } from "../../../ts/model.ts";
import { sampleGroups } from "../../../ts/rollout/sample.ts";
import type { Group } from "../../../ts/rollout/types.ts";
import { runPrm } from "../../../ts/train/prm.ts";
import { runSft } from "../../../ts/train/sft.ts";
import { lastBoxed } from "../../../ts/verifiers/boxed.ts";
import type { StartModel } from "../localisation.ts";

export const PICK = { fineTuning: 2500, prompts: 8_000, samples: 4, batchSize: 64, lr: 2e-3, beta: 1, heldOut: 500, n: 16 } as const;

/** For each held-out problem, by method: 1 right, 0 wrong (a share, for means and ties). */
export type Picks = Record<string, number[]>;

/**
 * Problems, prompts and verifier are the built-in task's; the worked solutions add the numbers in any order. That gives an answer many ways to it, as in
 * real reasoning: with a single way a vote can hardly beat greedy decoding, as it has nothing to collect votes from.
 */
export async function bestOfN(seed: number, startModel: StartModel): Promise<Picks> {
  const plain = arithmeticTask({ seed, minSteps: 3, maxSteps: 5, operations: ["+"], starts: [2, 29], slipRate: 0, habitShare: 0, heldOutSize: PICK.heldOut });
  const task: Task = { ...plain, demonstrations: { at: (index) => anyOrder(plain.demonstrations.at(index), seed, index) } };
  const config = { steps: PICK.fineTuning, batchSize: 16, lr: 5e-3, beta2: 0.95, seed, maxNewTokens: 100 };
  using policy = await startModel(`any-order-${seed}`, seed, task.tokenizer, (model) => runSft({ config, task, model }));
  using prm = await trained(policy, task, seed);
  const problems = task.heldOut.map((problem, position) => ({ position, problem }));
  const sampling = { maxNewTokens: 100, seed: 1 };
  const greedy = await sampleGroups(policy, task, problems, { ...sampling, samples: 1, temperature: 0, firstSequence: 0n });
  const groups = await sampleGroups(policy, task, problems, { ...sampling, samples: PICK.n, temperature: 1, firstSequence: 1n << 50n });
  const judged = await judgeAnswers({ prm, reference: policy }, task.tokenizer, examplesOf(groups), { beta: PICK.beta, maxTokensPerBatch: 8192 });
  const answersOf = (g: number) => judged.slice(g * PICK.n, (g + 1) * PICK.n);
  const byPrm = (value: (answer: ScoredAnswer) => number) => groups.map((group, g) => pick(group, answersOf(g).map(value)));
  const rewards = (answer: ScoredAnswer) => answer.steps.map((step) => step.reward);
  return {
    greedy: greedy.map((group) => group.accuracy),
    "one sample (mean)": groups.map((group) => group.accuracy),
    "majority vote": groups.map((group) =>
      vote(
        group,
        group.samples.map(() => 1),
      ),
    ),
    "best by PRM, score": byPrm((answer) => answer.score),
    "best by PRM, lowest step": byPrm((answer) => Math.min(...rewards(answer))),
    "best by PRM, mean step": byPrm((answer) => answer.score / answer.steps.length),
    "vote weighted by PRM": groups.map((group, g) =>
      vote(
        group,
        answersOf(g).map((answer) => 1 / (1 + Math.exp(-answer.score))),
      ),
    ),
    "any of them right": groups.map((group) => Number(group.accuracy > 0)),
  };
}

// --- internal ---

function anyOrder(example: Example, seed: number, index: number): Example {
  const expression = parseExpression(example.prompt);
  const terms = [expression?.first ?? 0, ...(expression?.steps ?? []).map((step) => step.operand)];
  const draws = new Draws(seed, 17, index);
  for (let k = terms.length - 1; k > 0; k--) {
    const j = draws.integer(0, k);
    [terms[k], terms[j]] = [terms[j], terms[k]];
  }
  let sum = terms[0];
  const lines = terms.slice(1).map((term) => {
    const line = `[ADVANCE] ${sum}+${term}=${sum + term}\n`;
    sum += term;
    return line;
  });
  return { ...example, response: `${lines.join("")}[OUTPUT] \\boxed{${sum}}` };
}

/** A PRM from the policy's own answers to training problems and their outcomes. */
async function trained(policy: Model, task: Task, seed: number): Promise<Model> {
  const problems = Array.from({ length: PICK.prompts }, (_, position) => ({ position, problem: task.train.at(position) }));
  const groups = await sampleGroups(policy, task, problems, { samples: PICK.samples, maxNewTokens: 100, temperature: 1, seed, firstSequence: 1n << 40n });
  const model = await policy.clone({ trainable: true });
  const { batchSize, lr, beta } = PICK;
  const config = { batchSize, lr, beta, warmupSteps: 10, decay: "linear", beta2: 0.95, evalShare: 0, seed } as const;
  await runPrm({ config, tokenizer: task.tokenizer, examples: examplesOf(groups), model, reference: policy });
  return model;
}

function examplesOf(groups: readonly Group[]): PrmExample[] {
  return groups.flatMap(({ problem, samples }) =>
    samples.map(({ text, verdict, truncated }, i) => {
      return {
        id: `${problem.id}:${i}`,
        prompt: problem.prompt,
        steps: splitSteps(text || "\n", "line"),
        label: verdict.score,
        group: problem.id,
        open: truncated,
      };
    }),
  );
}

/** The outcome of the answer with the highest value; the first of several. */
function pick(group: Group, values: readonly number[]): number {
  return group.samples[values.indexOf(Math.max(...values))].verdict.score;
}

/** The outcome of the final answer with the most weight; the mean of several. Answers without a result have no vote. */
function vote(group: Group, weights: readonly number[]): number {
  const tally = new Map<string, { weight: number; score: number }>();
  group.samples.forEach(({ text, verdict }, i) => {
    const result = lastBoxed(text)?.trim();
    if (result === undefined) return;
    const entry = tally.get(result) ?? { weight: 0, score: verdict.score };
    entry.weight += weights[i];
    tally.set(result, entry);
  });
  const most = Math.max(...Array.from(tally.values(), ({ weight }) => weight));
  const winners = [...tally.values()].filter(({ weight }) => weight === most);
  return winners.length === 0 ? 0 : winners.reduce((sum, { score }) => sum + score, 0) / winners.length;
}
