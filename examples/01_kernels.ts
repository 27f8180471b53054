// 01: the kernels in a trainer of your own, with no model engine and no orchestrator.   bun examples/01_kernels.ts   (under a second)
//
// The "language model" is the smallest there is: a table of logits, one row per previous token, in a Float32Array of ours. It is to learn
// a secret order of the ten digits: after digit d comes next[d]. It writes thirty digits; the only feedback is the share of them that are right.
// Two policies learn it, one from outcomes alone, one with process rewards beside them. The second is ahead at this small step size. That is no law:
// with a POLICY_RATE of 10 outcomes alone get there sooner, and the process rewards hold the policy back. Try it.
// We own sampling, weights and optimizer. primekit's kernels give log-probs, implicit process rewards, advantages, losses and gradients.
import { implicitRewards, linearLogprobs, linearLogprobsBackward, ppoClipLoss, primeAdvantages, prmCrossEntropyLoss } from "../ts/kernels.ts";

const V = 10; // vocabulary: the digits
const [P, G, T] = [8, 4, 30]; // prompts per step, samples per prompt, digits per sample
const B = P * G; // rows of the packed batch
const N = B * T; // its tokens
const SEED = Number(process.argv[2] ?? 1);
const STEPS = 120;
const [POLICY_RATE, PRM_RATE, BETA] = [3, 10, 0.2];
const next = [7, 3, 8, 0, 9, 2, 1, 4, 6, 5]; // the secret
const offsets = Int32Array.from({ length: B + 1 }, (_, i) => i * T); // row i is [offsets[i], offsets[i+1])

// A bigram table is a linear layer on one-hot inputs, so `linearLogprobs` computes its log-probs without ever holding [N, V] logits.
const shape = { vocabSize: V, hiddenSize: V };

/** Trains one policy, with process rewards weighted by `processCoef`, and returns the share of right digits at each step. */
function train(processCoef: number): number[] {
  const random = randomNumbers(SEED);
  const policy = new Float32Array(V * V); // [V, C]: logit of token v after token c is policy[v * V + c]
  const prm = new Float32Array(V * V); // the implicit reward model: a language model too, starting where the policy starts
  const reference = new Float32Array(V * V); // where both started; never changes
  const curve: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const { inputs, targets, outcome } = rollOut(policy, random);
    curve.push(outcome.reduce((a, b) => a + b) / B);

    // How much likelier does the reward model find each token than the reference does? That is the token's reward.
    const prmLogprobs = linearLogprobs(inputs, prm, targets, shape).logprobs; // [N]
    const refLogprobs = linearLogprobs(inputs, reference, targets, shape).logprobs; // [N]
    const { rewards } = implicitRewards(prmLogprobs, refLogprobs, offsets, { beta: BETA }); // [N]

    // The reward model itself learns from the outcomes alone: the sum of its rewards over a row is to predict the row's outcome.
    const prmLoss = prmCrossEntropyLoss({ prmLogprobs, refLogprobs, offsets, labels: betterThanGroup(outcome), beta: BETA });
    descend(prm, linearLogprobsBackward(inputs, prm, targets, prmLoss.dLogprobs, shape).dWeight, PRM_RATE);

    // Each row is compared with the other samples for its prompt; both kinds of reward are summed from the back and whitened.
    const { advantages } = primeAdvantages({ processRewards: rewards, outcomeRewards: outcome, offsets, groupSize: G, processCoef });

    // PPO: two passes over the same samples, each with the ratio to the policy that drew them.
    const oldLogprobs = linearLogprobs(inputs, policy, targets, shape).logprobs;
    for (let pass = 0; pass < 2; pass++) {
      const { logprobs } = linearLogprobs(inputs, policy, targets, shape);
      const { dLogprobs } = ppoClipLoss({ logprobs, oldLogprobs, advantages, offsets });
      descend(policy, linearLogprobsBackward(inputs, policy, targets, dLogprobs, shape).dWeight, POLICY_RATE);
    }
  }
  return curve;
}

/** Samples B rows of T digits: one-hot inputs [N, V], targets [N], and each row's outcome [B], the share of right digits. */
function rollOut(policy: Float32Array, random: () => number) {
  const inputs = new Float32Array(N * V);
  const targets = new Int32Array(N);
  const outcome = new Float32Array(B);
  for (let row = 0; row < B; row++) {
    let digit = Math.floor(row / G) % V; // the prompt; the G samples of a prompt lie side by side
    for (let t = offsets[row]; t < offsets[row + 1]; t++) {
      inputs[t * V + digit] = 1;
      targets[t] = sample(policy, digit, random);
      if (targets[t] === next[digit]) outcome[row] += 1 / T;
      digit = targets[t];
    }
    outcome[row] = Math.min(1, outcome[row]); // thirty times 1/30 in float32 may be a little more than 1
  }
  return { inputs, targets, outcome };
}

/** 1 for rows above their group's mean outcome, 0 below, 0.5 at it: labels [B] that are balanced, so that no reward is the same for everything. */
function betterThanGroup(outcome: Float32Array): Float32Array {
  return outcome.map((value, row) => {
    const group = outcome.subarray(row - (row % G), row - (row % G) + G);
    const mean = group.reduce((a, b) => a + b) / G;
    return Math.abs(value - mean) < 1e-6 ? 0.5 : value > mean ? 1 : 0;
  });
}

function sample(policy: Float32Array, digit: number, random: () => number): number {
  const weights = Array.from({ length: V }, (_, v) => Math.exp(policy[v * V + digit]));
  const ends = weights.map((_, v) => weights.slice(0, v + 1).reduce((a, b) => a + b)); // cumulative
  const point = random() * ends[V - 1];
  return ends.findIndex((end) => point < end);
}

function descend(weights: Float32Array, gradient: Float32Array, rate: number): void {
  for (let i = 0; i < weights.length; i++) weights[i] -= rate * gradient[i];
}

/** A small generator with a seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let x = Math.imul(seed ^ (seed >>> 15), seed | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
const percent = (x: number) => `${(100 * x).toFixed(0).padStart(3)} %`;
const [outcomeOnly, prime] = [train(0), train(1)];
console.log("step   outcome only   with process rewards");
for (let step = 0; step < STEPS; step += 12)
  console.log(`${String(step).padStart(4)}   ${percent(outcomeOnly[step]).padStart(12)}   ${percent(prime[step]).padStart(20)}`);
console.log(`mean over all steps: ${percent(mean(outcomeOnly))} with outcome rewards only, ${percent(mean(prime))} with process rewards`);
