// Part 2: sixteen answers to each held-out problem. Greedy decoding, a majority vote, or the PRM's choice?
import { arithmeticTask } from "../../../ts/data/arithmetic.ts";
import { demonstrate, drawHabits, parseExpression, type SlipRates } from "../../../ts/data/arithmetic_problem.ts";
import { type PrmExample, splitSteps } from "../../../ts/data/prm/example.ts";
import { Draws } from "../../../ts/data/random.ts";
import type { Task } from "../../../ts/data/task.ts";
import type { Example } from "../../../ts/data/types.ts";
import { bestOfN, majorityVote, weightedBestOfN } from "../../../ts/eval/pick/metrics.ts";
import { judgeAnswers, type ScoredAnswer } from "../../../ts/eval/process.ts";
import type { Model } from "../../../ts/model.ts";
import { sampleGroups } from "../../../ts/rollout/sample.ts";
import type { Group } from "../../../ts/rollout/types.ts";
import { runPrm } from "../../../ts/train/prm.ts";
import { runSft } from "../../../ts/train/sft.ts";
import { lastBoxed } from "../../../ts/verifiers/boxed.ts";
import type { StartModel } from "../localisation.ts";

export const PICK = { fineTuning: 2500, samples: 4, batchSize: 128, lr: 2e-3, beta: 1, heldOut: 500, n: 16 } as const;

/** Where the policy's errors come from, and how many prompts (four answers each) the PRM learns from. */
export const PICK_SETTINGS = {
  /** The built-in task's bad habit: where certain digits are added, demonstrations mostly forget the carry. So wrong answers are likely, and agree. */
  habit: { policy: "any-order-habit", habitShare: 0.4, habitRate: 0.6, prompts: 12_000 },
  /** Demonstrations without any slip, but few of them: the policy errs anywhere. */
  "little-practice": { policy: "any-order", habitShare: 0, habitRate: 0, prompts: 24_000 },
  "little-practice-more": { policy: "any-order", habitShare: 0, habitRate: 0, prompts: 60_000 },
} as const;

export type PickSetting = keyof typeof PICK_SETTINGS;

/** For each held-out problem, by method: 1 right, 0 wrong (a share, for means and ties). */
export type Picks = Record<string, number[]>;

/** The aggregation of step rewards that was fixed before these seeds were looked at. */
export const FIXED = "best by PRM, lowest step";

/**
 * Problems, prompts and verifier are the built-in task's; the worked solutions add the numbers in any order. That gives an answer many ways to it, as in
 * real reasoning: with a single way a vote can hardly beat greedy decoding, as it has nothing to collect votes from.
 */
export async function bestOfSixteen(name: PickSetting, seed: number, startModel: StartModel): Promise<Picks> {
  const setting = PICK_SETTINGS[name];
  const task = anyOrderTask(seed, setting);
  const config = { steps: PICK.fineTuning, batchSize: 16, lr: 5e-3, beta2: 0.95, seed, maxNewTokens: 100 };
  using policy = await startModel(`${setting.policy}-${seed}`, seed, task.tokenizer, (model) => runSft({ config, task, model }));
  using prm = await trained(policy, task, seed, setting.prompts);
  const problems = task.heldOut.map((problem, position) => ({ position, problem }));
  const sampling = { maxNewTokens: 100, seed: 1 };
  const greedy = await sampleGroups(policy, task, problems, { ...sampling, samples: 1, temperature: 0, firstSequence: 0n });
  const groups = await sampleGroups(policy, task, problems, { ...sampling, samples: PICK.n, temperature: 1, firstSequence: 1n << 50n });
  const judged = await judgeAnswers({ prm, reference: policy }, task.tokenizer, examplesOf(groups), { beta: PICK.beta, maxTokensPerBatch: 8192 });
  const candidates = (reward: (answer: ScoredAnswer) => number) =>
    groups.map(({ samples }, g) =>
      samples.map(({ text, verdict }, i) => ({ score: verdict.score, vote: lastBoxed(text)?.trim(), reward: reward(judged[g * PICK.n + i]) })),
    );
  const best = (reward: (answer: ScoredAnswer) => number) => candidates(reward).map((answers) => bestOfN(answers, PICK.n));
  return {
    greedy: greedy.map((group) => group.accuracy),
    "one sample (mean)": groups.map((group) => group.accuracy),
    "majority vote": candidates(() => 1).map(majorityVote),
    "best by PRM, score": best((answer) => answer.score),
    [FIXED]: best((answer) => Math.min(...answer.steps.map((step) => step.reward))),
    "best by PRM, mean step": best((answer) => answer.score / answer.steps.length),
    "vote weighted by PRM": candidates((answer) => 1 / (1 + Math.exp(-answer.score))).map(weightedBestOfN),
    "any of them right": groups.map((group) => Number(group.accuracy > 0)),
  };
}

// --- internal ---

function anyOrderTask(seed: number, { habitShare, habitRate }: (typeof PICK_SETTINGS)[PickSetting]): Task {
  const slips = { slipRate: 0, habitShare, habitRate };
  const task = arithmeticTask({ seed, minSteps: 3, maxSteps: 5, operations: ["+"], starts: [2, 29], ...slips, heldOutSize: PICK.heldOut });
  const rates: SlipRates = { slipRate: 0, habitRate, habits: drawHabits(seed, 4, habitShare) };
  return { ...task, demonstrations: { at: (index) => anyOrder(task.demonstrations.at(index), new Draws(seed, 17, index), rates) } };
}

function anyOrder(example: Example, draws: Draws, rates: SlipRates): Example {
  const expression = parseExpression(example.prompt);
  const terms = [expression?.first ?? 0, ...(expression?.steps ?? []).map((step) => step.operand)];
  for (let k = terms.length - 1; k > 0; k--) {
    const j = draws.integer(0, k);
    [terms[k], terms[j]] = [terms[j], terms[k]];
  }
  const [first, ...operands] = terms;
  return { ...example, response: demonstrate({ first, steps: operands.map((operand) => ({ operation: "+", operand })) }, draws, rates) };
}

/** A PRM from the policy's own answers to training problems and their outcomes. */
async function trained(policy: Model, task: Task, seed: number, prompts: number): Promise<Model> {
  const problems = Array.from({ length: prompts }, (_, position) => ({ position, problem: task.train.at(position) }));
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
