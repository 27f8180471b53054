// The memory plan of the main job: policy, PRM and reference, with the sizes that its configuration allows.
import { algorithms } from "../algo/estimators.ts";
import type { Task } from "../data/task.ts";
import { chooseDevice } from "../model.ts";
import type { ModelConfig } from "../model_config.ts";
import { encodePrompt } from "../rollout/sample.ts";
import type { JobConfig } from "./job_config.ts";
import { type Change, halving, switched } from "./memory_advice.ts";
import { batchTokens, type MemoryPlan, type ModelUse, type Plannable, planModels } from "./memory_plan.ts";

/** What a job needs to know beside its own configuration. */
export interface PlanInput {
  model: ModelConfig;
  promptTokens: number; // of the longest prompt
}

/** Tokens of the longest prompt: the data's limit, or of the task's first problems. */
export function longestPrompt({ data }: JobConfig, task: Task): number {
  if (data.source) return data.maxPromptTokens;
  return Math.max(...Array.from({ length: 64 }, (_, i) => encodePrompt(task.tokenizer, task.train.at(i)).length));
}

/** The job, for requireMemory(). */
export function jobWork(config: JobConfig, input: PlanInput): Plannable<JobConfig> {
  return { config, plan: (changed) => planJob(changed, input), changes };
}

export function planJob(config: JobConfig, { model, promptTokens }: PlanInput): MemoryPlan {
  const { prime } = config;
  const { dtype, recompute, moments } = config.model;
  const usesPrm = algorithms[prime.algo].process;
  const trainsPrm = usesPrm && prime.prmUpdate !== "none";
  const needsReference = (usesPrm && prime.reference === "sft") || prime.klCoef > 0; // as openPrime
  const sizes = batchSizes(config, promptTokens);
  const newTokens = Math.max(prime.maxNewTokens, config.model.source ? 0 : config.sft.maxNewTokens);
  const use = (name: string, trainable: boolean, work: object): ModelUse => ({ name, model, options: { dtype, recompute, moments, trainable }, work });
  const policy = use("policy", true, { trainTokens: sizes.policy, slots: sizes.slots, promptTokens, newTokens });
  const uses: ModelUse[] = [{ ...policy, mixed: !config.model.source }]; // fine-tuning evaluates as it goes
  if (usesPrm) uses.push(use("PRM", trainsPrm, { [trainsPrm ? "trainTokens" : "scoreTokens"]: sizes.others }));
  if (needsReference) uses.push(use("reference", false, { scoreTokens: sizes.others }));
  return planModels(chooseDevice(config.model.device), uses, prime.offload);
}

// --- internal ---

function batchSizes({ prime, sft, model }: JobConfig, promptTokens: number) {
  const longest = promptTokens + prime.maxNewTokens;
  const rows = prime.promptsPerStep * prime.samplesPerPrompt;
  const fineTuning = model.source ? 0 : batchTokens(sft.maxTokensPerBatch, sft.batchSize, promptTokens + sft.maxNewTokens);
  const group = prime.prmLoss === "ce" ? longest : longest * prime.samplesPerPrompt; // losses that compare rows keep a group together
  return {
    policy: Math.max(fineTuning, batchTokens(prime.maxTokensPerBatch, rows, longest)),
    others: batchTokens(prime.maxTokensPerBatch, rows * prime.maxDraws, group),
    slots: Math.max(prime.generationSlots, model.source ? 0 : sft.generationSlots),
  };
}

/** In the order of what they cost in speed. */
const changes: Change<JobConfig>[] = [
  switched("--model.dtype bfloat16", (c) => (c.model.dtype === "bfloat16" ? undefined : { ...c, model: { ...c.model, dtype: "bfloat16" } })),
  switched("--model.moments bfloat16", (c) => (c.model.moments === "bfloat16" ? undefined : { ...c, model: { ...c.model, moments: "bfloat16" } })),
  halved("maxTokensPerBatch", 256),
  halved("generationSlots", 8),
  switched("--offload", (c) => (c.prime.offload ? undefined : { ...c, prime: { ...c.prime, offload: true } })),
  switched("--model.recompute", (c) => (c.model.recompute ? undefined : { ...c, model: { ...c.model, recompute: true } })),
];

function halved(name: "maxTokensPerBatch" | "generationSlots", least: number): Change<JobConfig> {
  return halving(
    least,
    ({ prime }) => prime[name],
    (c, value) => ({ ...c, prime: { ...c.prime, [name]: value }, sft: { ...c.sft, [name]: Math.min(c.sft[name], value) } }),
    ({ prime, sft, model }) => `--${name} ${prime[name]}${model.source ? "" : ` --sft.${name} ${sft[name]}`}`,
  );
}
