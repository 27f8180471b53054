// 03: the PRIME loop by hand.   bun examples/03_prime_by_hand.ts   (about 15 seconds)
//
// Everything ts/train/prime.ts does, without its options: no checkpoints, no metrics, no refill of the batch. Read it next to Algorithm 1 of the
// paper (arXiv 2502.01456). Example 02 explains the rewards. The task: sums in several steps, by a model that learned to forget carries.
import { arithmeticTask } from "../ts/data/arithmetic.ts";
import { implicitRewards, ppoClipLoss, primeAdvantages, prmCrossEntropyLoss } from "../ts/kernels.ts";
import { pack } from "../ts/model.ts";
import { fineTune, mean, percent, type Rollouts, rollOut, tinyModel } from "./shared.ts";

const [STEPS, PROMPTS, G] = [40, 64, 4]; // rollout steps, prompts in each, samples per prompt
const BETA = 1;
const task = arithmeticTask({ minSteps: 2, maxSteps: 4, operations: ["+"], starts: [2, 29] });

// policy, PRM <- SFT model; reference <- SFT model, frozen.
using policy = await tinyModel(task);
await fineTune(policy, task, 800);
using prm = await policy.clone({ trainable: true });
using reference = await policy.clone({ trainable: false });
await policy.resetOptimizer(); // AdamW's moments of the fine-tuning do not fit what comes
console.log(`before: ${percent(await heldOutAccuracy())} of the held-out problems right`);

for (let step = 0; step < STEPS; step++) {
  // 1. G answers to each prompt, all from the same policy. Keep the prompts that are neither always nor never solved: only they teach anything.
  const problems = Array.from({ length: PROMPTS }, (_, i) => task.train.at(step * PROMPTS + i));
  const all = await rollOut(policy, task, problems, G, step * PROMPTS * G);
  const { batch, outcomes, sampled } = keepMixedGroups(all);

  // 2. PRM and reference score every response token; the PRM takes a step on the outcomes, then scores again ("update before").
  const ref = await reference.logprobs(batch);
  const scored = await prm.forwardBackward(batch, ({ logprobs, offsets }) =>
    prmCrossEntropyLoss({ prmLogprobs: logprobs, refLogprobs: ref.logprobs, offsets, labels: outcomes, beta: BETA }),
  );
  await prm.step({ lr: 1e-3 });
  const { logprobs: prmLogprobs } = await prm.logprobs(batch);

  // 3. Implicit process rewards: r_t = beta * (log PRM - log reference), one for each token.
  const { offsets } = scored; // [B+1] over response tokens
  const { rewards: processRewards, scores } = implicitRewards(prmLogprobs, ref.logprobs, offsets, { beta: BETA });

  // 4. Leave-one-out advantages: each answer against the other answers to its prompt, for both kinds of reward, summed and whitened.
  //    "batch" scales the process rewards to at most 1, so that no token can be worth more than a right answer (try it without).
  const { advantages } = primeAdvantages({ processRewards, outcomeRewards: outcomes, offsets, groupSize: G, normalizeProcess: "batch" });

  // 5. Clipped policy gradient.
  await policy.forwardBackward(batch, ({ logprobs }) => ppoClipLoss({ logprobs, oldLogprobs: sampled, advantages, offsets }));
  await policy.step({ lr: 3e-4 });

  if ((step + 1) % 5 === 0) {
    const kept = outcomes.length / G;
    console.log(
      `step ${String(step + 1).padStart(2)}: ${percent(mean(all.outcomes))} of the samples right, ${kept} of ${PROMPTS} prompts kept, PRM prefers the right answer in ${percent(pairAccuracy(scores, outcomes))} of the pairs`,
    );
  }
}
console.log(`after: ${percent(await heldOutAccuracy())} of the held-out problems right`);

/** Share of held-out problems whose greedy answer is right. */
async function heldOutAccuracy(): Promise<number> {
  return mean((await rollOut(policy, task, task.heldOut, 1, 0, 0)).outcomes);
}

/** Only the groups with a mean outcome from 0.2 to 0.8, packed anew. */
function keepMixedGroups({ batch, outcomes, sampled, tokens }: Rollouts) {
  const groupMean = (row: number) => mean(outcomes.subarray(row - (row % G), row - (row % G) + G));
  const rows = Array.from(outcomes.keys()).filter((row) => groupMean(row) >= 0.2 && groupMean(row) <= 0.8);
  const starts = tokens.map((_, row) => tokens.slice(0, row).reduce((sum, ids) => sum + ids.length, 0)); // of each row in `sampled`
  return {
    batch: {
      ...pack(rows.map((row) => batch.tokens.subarray(batch.offsets[row], batch.offsets[row + 1]))),
      promptLengths: Int32Array.from(rows, (row) => batch.promptLengths?.[row] ?? 1),
    },
    outcomes: Float32Array.from(rows, (row) => outcomes[row]),
    sampled: Float32Array.from(rows.flatMap((row) => Array.from(sampled.subarray(starts[row], starts[row] + tokens[row].length)))),
  };
}

/** Within groups: how often does the right answer of a right-wrong pair have the higher score? */
function pairAccuracy(scores: Float32Array, outcomes: Float32Array): number {
  const won: number[] = [];
  for (let i = 0; i < scores.length; i++) {
    for (let j = i - (i % G); j < i - (i % G) + G; j++) if (outcomes[i] > outcomes[j]) won.push(scores[i] > scores[j] ? 1 : 0);
  }
  return mean(won);
}
