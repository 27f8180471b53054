// A whole PRIME step of the first model (64 prompts x 4 answers x 96 tokens, one update each of policy and PRM), with the
// functions the trainer uses, against one step of TRL's RLOOTrainer, which has neither PRM nor reference to compute.
import { type AdvantageOptions, algorithms } from "../../ts/algo/estimators.ts";
import { type PolicyOptions, updatePolicy } from "../../ts/algo/policy.ts";
import { type PrmOptions, trainPrm } from "../../ts/algo/prm.ts";
import { type ProcessRewardOptions, processRewards } from "../../ts/algo/process_rewards.ts";
import { concat, responseOffsets } from "../../ts/rollout/pack.ts";
import { scoreRows } from "../../ts/rollout/score.ts";
import { alternate, type Comparison, matmulRate, report, seconds, type Timed } from "./harness.ts";
import { median } from "./measure.ts";
import { Peer } from "./peer.ts";
import { attentionFlops, generationFlops, linearFlops, loadModel, MODELS, randomPrompts, trainingFlops } from "./sizes.ts";

const PROMPTS = 64;
const SAMPLES = 4;
const PROMPT = 32;
const NEW = 96;
const ROWS = PROMPTS * SAMPLES;
const config = MODELS.tiny;
const phases: Record<string, number[]> = {};

const budget = { maxTokensPerBatch: 16384, maxSkippedUpdates: 3 };
const policyOptions: PolicyOptions & { lr: number } = {
  ...{ ...budget, temperature: 1, clipLow: 0.2, clipHigh: 0.2, dualClip: 0, aggregate: "token-mean", entropyCoef: 0, klCoef: 0 },
  ...{ lr: 1e-5, weightDecay: 0.01, gradClip: 1, policyEpochs: 1, policyMinibatches: 1 },
};
const prmOptions: PrmOptions = { ...budget, prmLoss: "ce", prmBeta: 0.05, prmLr: 1e-5, prmWeightDecay: 0, prmGradClip: 10, prmEpochs: 1, prmMinibatches: 1 };
const shaping: AdvantageOptions = {
  gammaProcess: 1,
  gammaOutcome: 1,
  processCoef: 1,
  outcomeCoef: 1,
  baseline: "leave-one-out",
  normalizeProcess: "none",
  whiten: true,
};
const rewardOptions: ProcessRewardOptions = { ...shaping, prmBeta: 0.05, processClip: 0, samplesPerPrompt: SAMPLES };

async function during<T>(phase: string, work: () => Promise<T>): Promise<T> {
  const begin = performance.now();
  const result = await work();
  phases[phase] ??= [];
  phases[phase].push((performance.now() - begin) / 1000);
  return result;
}

using policy = await loadModel("tiny", "bfloat16");
using prm = await policy.clone();
using reference = await policy.clone({ trainable: false });
let count = 0;

async function primeStep(): Promise<void> {
  const prompts = randomPrompts(PROMPTS, PROMPT, config.vocabSize);
  const key = [1, ++count, 0];
  const rollouts = await during("generate", () => policy.generate(prompts, { samples: SAMPLES, maxNewTokens: NEW, seed: count, stop: { tokens: [] } }));
  const rows = rollouts.map((r) => ({ prompt: prompts[r.prompt], response: r.tokens }));
  const offsets = responseOffsets(rows);
  const outcome = Float32Array.from(rows, (row) => Number(row.response.filter((token) => token === 5).length > 1));
  const oldLogprobs = concat(rollouts.map((r) => r.logprobs));
  const ref = await during("reference", () => scoreRows(reference, rows, budget));
  const skips = () => ({ total: 0, inARow: 0 });
  const { firstPass } = await during("prm", () => trainPrm(prm, { rows, labels: outcome, reference: ref, groupSize: SAMPLES }, prmOptions, skips(), key));
  const process = await during("rewards", async () => processRewards(firstPass, ref, offsets, rewardOptions));
  const advantages = await during("advantages", async () => algorithms.prime.advantages({ outcome, offsets, groupSize: SAMPLES, process }, shaping));
  await during("policy", () => updatePolicy(policy, { rows, groupSize: SAMPLES, oldLogprobs, advantages }, policyOptions, skips(), key));
}

const peer = await Peer.start("rloo_step.py", "tiny");
const contestants: Record<string, Timed> = { ours: () => seconds(primeStep), ...(peer && { peer: () => peer.run() }) };
const times = await alternate(contestants);
peer?.stop();
const length = PROMPT + NEW;
const forward = length * linearFlops(config) + (length * attentionFlops(config, length)) / 2;
const flops = ROWS * (generationFlops(config, PROMPT, NEW, SAMPLES) + forward + 2 * trainingFlops(config, length));
const comparison: Comparison = {
  what: "PRIME step, tiny, bfloat16, 64 prompts x 4 x 96 tokens (peer: TRL RLOO, outcome only)",
  unit: { name: "s" },
  ours: times.ours,
  peer: times.peer,
  target: 3,
  flops,
  rate: await matmulRate("bfloat16"),
};
const parts = Object.entries(phases).map(([phase, all]) => `${phase} ${median(all.slice(1)).toFixed(2)} s`);
report(
  "prime_step",
  [comparison],
  [`By phase: ${parts.join(", ")}.`, "Rollouts of exactly 96 tokens on both sides; one optimizer step per model and step."],
  peer?.versions,
);
