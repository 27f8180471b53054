// The memory of the main job before it starts: a table by model and kind, and a refusal that says what would make it fit.
import { algorithms } from "../algo/estimators.ts";
import type { Task } from "../data/task.ts";
import { PrimekitError } from "../errors.ts";
import { chooseDevice } from "../model.ts";
import { completeConfig, type ModelConfig, toNativeConfig } from "../model_config.ts";
import { native } from "../native/addon.ts";
import type { NativeMemoryPlan, PlannedWork } from "../native/types.ts";
import { encodePrompt } from "../rollout/sample.ts";
import { availableMemory } from "./available_memory.ts";
import { table } from "./format.ts";
import type { JobConfig } from "./job_config.ts";

export interface JobPlan {
  device: "cpu" | "cuda";
  models: { name: string; bytes: NativeMemoryPlan }[];
  total: number; // bytes, with the kernels' scratch memory
}

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

/** What the models of a job will allocate when every batch, slot and answer is as long as the configuration allows. */
export function planJob(config: JobConfig, { model, promptTokens }: PlanInput): JobPlan {
  const { prime } = config;
  const device = chooseDevice(config.model.device);
  const shape = toNativeConfig(completeConfig(model));
  const { dtype, recompute } = config.model;
  const plan = (name: string, trainable: boolean, work: PlannedWork) => ({
    name,
    bytes: native().planMemory(shape, { device, dtype, recompute, trainable }, work),
  });
  const usesPrm = algorithms[prime.algo].process;
  const trainsPrm = usesPrm && prime.prmUpdate !== "none";
  const needsReference = (usesPrm && prime.reference === "sft") || prime.klCoef > 0; // as openPrime
  const sizes = batchSizes(config, promptTokens);
  const idle = { trainTokens: 0, scoreTokens: 0, slots: 0, promptTokens, newTokens: 0 };
  const newTokens = Math.max(prime.maxNewTokens, config.model.source ? 0 : config.sft.maxNewTokens);
  const models = [plan("policy", true, { ...idle, trainTokens: sizes.policy, slots: sizes.slots, newTokens })];
  if (usesPrm) models.push(plan("PRM", trainsPrm, { ...idle, [trainsPrm ? "trainTokens" : "scoreTokens"]: sizes.others }));
  if (needsReference) models.push(plan("reference", false, { ...idle, scoreTokens: sizes.others }));
  return { device, models, total: models.reduce((sum, { bytes }) => sum + ownBytes(bytes), scratchOf(models)) };
}

/** The plan as a table, with what is available. */
export function renderPlan(plan: JobPlan, available: number | undefined): string {
  const { models, total, device } = plan;
  const rows = Object.entries(KINDS).map(([kind, label]) => [label, ...models.map(({ bytes }) => inWords(bytes[kind as keyof typeof KINDS]))]);
  const sums = ["sum", ...models.map(({ bytes }) => inWords(ownBytes(bytes)))];
  const grid = table([[`memory on the ${NAMES[device]}`, ...models.map(({ name }) => name)], ...rows, sums]);
  const whole = table([
    ["kernels' scratch", inWords(scratchOf(models))],
    ["total", inWords(total)],
    ["available", available === undefined ? "no GPU here" : inWords(available)],
  ]);
  return `${grid}\n\n${whole}`;
}

/**
 * Throws ERR_OUT_OF_MEMORY, with the table and the options that would help, when the job does not fit into the device's available memory.
 * PRIMEKIT_MEMORY_CHECK=off leaves it to chance: the plan is for the longest answers in every slot.
 */
export function requireMemory(config: JobConfig, input: PlanInput, available?: number): void {
  if (process.env.PRIMEKIT_MEMORY_CHECK === "off") return;
  const plan = planJob(config, input);
  const free = available ?? availableMemory(plan.device);
  if (free === undefined || plan.total <= free) return; // without a GPU the model says why it cannot be made
  const sentence = `This run needs ${inWords(plan.total)} of memory, but the ${NAMES[plan.device]} has ${inWords(free)} available.`;
  const start = "PRIMEKIT_MEMORY_CHECK=off starts it all the same.";
  throw new PrimekitError("ERR_OUT_OF_MEMORY", `${sentence}\n\n${renderPlan(plan, free)}\n\n${adviceFor(config, input, free)} ${start}`);
}

// --- internal ---

const NAMES = { cpu: "CPU", cuda: "GPU" };
const KINDS = {
  weights: "weights (float32)",
  rounded: "weights (bfloat16)",
  gradients: "gradients",
  moments: "AdamW's moments",
  activations: "activations",
  cache: "KV cache",
  decoding: "decoding",
};

const ownBytes = (bytes: NativeMemoryPlan) => Object.keys(KINDS).reduce((sum, kind) => sum + bytes[kind as keyof typeof KINDS], 0);
const scratchOf = (models: JobPlan["models"]) => Math.max(...models.map(({ bytes }) => bytes.scratch));

function inWords(bytes: number): string {
  if (bytes === 0) return "–";
  const [unit, name] = bytes >= 1e9 ? [1e9, "GB"] : bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(bytes / unit).toFixed(2)} ${name}`;
}

/** Tokens of the largest batches: the budget, or all there is where that is less; one row alone may be longer than the budget. */
function batchSizes({ prime, sft, model }: JobConfig, promptTokens: number) {
  const longest = promptTokens + prime.maxNewTokens;
  const size = (budget: number, rows: number, row: number) => Math.max(row, Math.min(budget, rows * row));
  const rows = prime.promptsPerStep * prime.samplesPerPrompt;
  const fineTuning = model.source ? 0 : size(sft.maxTokensPerBatch, sft.batchSize, promptTokens + sft.maxNewTokens);
  const group = prime.prmLoss === "ce" ? longest : longest * prime.samplesPerPrompt; // losses that compare rows keep a group together
  return {
    policy: Math.max(fineTuning, size(prime.maxTokensPerBatch, rows, longest)),
    others: size(prime.maxTokensPerBatch, rows * prime.maxDraws, group),
    slots: Math.max(prime.generationSlots, model.source ? 0 : sft.generationSlots),
  };
}

interface Change {
  flags: string;
  config: JobConfig;
}

/** The options that make the job fit, each alone; or all of them together; or that none do. */
function adviceFor(config: JobConfig, input: PlanInput, free: number): string {
  const fits = (changed: JobConfig) => planJob(changed, input).total <= free;
  const alone = steps.flatMap((step) => {
    const found = ladder(config, step).find((change) => fits(change.config));
    return found ? [found.flags] : [];
  });
  if (alone.length > 0) return `It would fit with ${alone.join(", or with ")}.`;
  const taken: string[] = [];
  let changed = config;
  for (const step of steps) {
    const rungs = ladder(changed, step);
    const last = rungs.find((change) => fits(change.config)) ?? rungs.at(-1);
    if (!last) continue;
    taken.push(last.flags);
    changed = last.config;
    if (fits(changed)) return `It would fit with ${taken.join(" ")}.`;
  }
  return taken.length > 0
    ? `Not even ${taken.join(" ")} would make it fit: it takes a smaller model or more memory.`
    : "It takes a smaller model or more memory.";
}

type Step = (config: JobConfig) => Change | undefined;

/** Ever further the same way. */
function ladder(config: JobConfig, step: Step): Change[] {
  const rungs: Change[] = [];
  for (let next = step(config); next && rungs.length < 20; next = step(next.config)) rungs.push(next);
  return rungs;
}

/** In the order of what they cost in speed. */
const steps: Step[] = [
  (c) => (c.model.dtype === "bfloat16" ? undefined : { flags: "--model.dtype bfloat16", config: { ...c, model: { ...c.model, dtype: "bfloat16" } } }),
  (c) => halved(c, "maxTokensPerBatch", 256),
  (c) => halved(c, "generationSlots", 8),
  (c) => (c.model.recompute ? undefined : { flags: "--model.recompute", config: { ...c, model: { ...c.model, recompute: true } } }),
];

function halved(config: JobConfig, name: "maxTokensPerBatch" | "generationSlots", least: number): Change | undefined {
  const value = Math.floor(config.prime[name] / 2);
  if (value < least) return undefined;
  const sft = Math.min(config.sft[name], value);
  const flags = `--${name} ${value}${config.model.source ? "" : ` --sft.${name} ${sft}`}`;
  return { flags, config: { ...config, prime: { ...config.prime, [name]: value }, sft: { ...config.sft, [name]: sft } } };
}
