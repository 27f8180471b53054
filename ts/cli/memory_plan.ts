// The memory of a command's models before it starts: a table by model and kind, and a refusal that says what would make it fit.
import { join } from "node:path";
import { PrimekitError } from "../errors.ts";
import { type CompleteConfig, completeConfig, fromHuggingFace, type ModelConfig, toNativeConfig } from "../model_config.ts";
import { readModelJson } from "../model_dir.ts";
import { native } from "../native/addon.ts";
import type { NativeMemoryPlan, NativeModelOptions, PlannedWork } from "../native/types.ts";
import { availableMemory } from "./available_memory.ts";
import { table } from "./format.ts";
import { adviceFor, type Change } from "./memory_advice.ts";

/** A model that a command makes, and the largest of what it does with it. */
export interface ModelUse {
  name: string;
  model: ModelConfig;
  options: Pick<NativeModelOptions, "dtype" | "trainable"> & Partial<Pick<NativeModelOptions, "moments" | "recompute">>;
  work: Partial<PlannedWork>;
  /** Generates and trains without a turn between: where models take turns, memory for both is held at once all the same. */
  mixed?: boolean;
}

export interface MemoryPlan {
  device: "cpu" | "cuda";
  models: { name: string; bytes: NativeMemoryPlan; most: number /* bytes at once */ }[];
  total: number; // bytes on the device at once, with the kernels' scratch memory
  host: number; // bytes of the host's memory in which models wait that take turns on a GPU
}

/** What a command will allocate, as a function of its configuration, and what might be changed in that: the cheapest in speed first. */
export interface Plannable<Config> {
  config: Config;
  plan: (config: Config) => MemoryPlan;
  changes: readonly Change<Config>[];
}

/**
 * What the models will allocate when every batch, slot and answer is as long as it may be. `turns`: one at a time is on the GPU, generating or training,
 * and the others wait in the host's memory; on the CPU this changes nothing. No GPU is needed for "cuda".
 */
export function planModels(device: "cpu" | "cuda", uses: readonly ModelUse[], turns = false): MemoryPlan {
  const takeTurns = turns && device === "cuda" && uses.length > 1;
  const models = uses.map(({ name, model, options, work, mixed = false }) => {
    const settings = { device, moments: "float32" as const, recompute: false, ...options };
    const sizes = { trainTokens: 0, scoreTokens: 0, slots: 0, promptTokens: 0, newTokens: 0, ...work };
    const bytes = native().planMemory(toNativeConfig(completeConfig(model)), settings, sizes);
    return {
      name,
      bytes,
      most: takeTurns && !mixed ? ownBytes(bytes) - Math.min(bytes.gradients + bytes.activations, bytes.cache + bytes.decoding) : ownBytes(bytes),
    };
  });
  const most = models.map((model) => model.most);
  if (!takeTurns) return { device, models, total: most.reduce((sum, bytes) => sum + bytes, scratchOf(models)), host: 0 };
  const waiting = models.map(({ bytes }, i) => bytes.weights + bytes.moments + (uses[i].options.trainable ? 0 : bytes.rounded)); // gradients are zero
  return { device, models, total: Math.max(...most) + scratchOf(models), host: waiting.reduce((sum, bytes) => sum + bytes, 0) };
}

/** The plan as a table, with what is available. */
export function renderPlan(plan: MemoryPlan, available: number | undefined): string {
  const { models, total, device, host } = plan;
  const rows = Object.entries(KINDS).map(([kind, label]) => [label, ...models.map(({ bytes }) => inWords(bytes[kind as keyof typeof KINDS]))]);
  const sums = [["sum", ...models.map(({ bytes }) => inWords(ownBytes(bytes)))]];
  if (host > 0) sums.push(["most at once", ...models.map(({ most }) => inWords(most))]);
  const grid = table([[`memory on the ${NAMES[device]}`, ...models.map(({ name }) => name)], ...rows, ...sums]);
  const whole = table([
    ["kernels' scratch", inWords(scratchOf(models))],
    [host > 0 ? "total, one model at a time" : "total", inWords(total)],
    ["available", available === undefined ? "no GPU here" : inWords(available)],
    ...(host > 0 ? [["in the host's memory", inWords(host)]] : []),
  ]);
  return `${grid}\n\n${whole}`;
}

/**
 * Throws ERR_OUT_OF_MEMORY, with the table and the options that would help, when the models do not fit into the device's available memory, or those that
 * take turns not into the host's. PRIMEKIT_MEMORY_CHECK=off leaves it to chance: the plan is for the longest answers in every slot.
 */
export function requireMemory<Config>(wanted: Plannable<Config>, available?: number, hostAvailable = availableMemory("cpu")): void {
  if (process.env.PRIMEKIT_MEMORY_CHECK === "off") return;
  const plan = wanted.plan(wanted.config);
  const free = available ?? availableMemory(plan.device);
  if (free === undefined) return; // without a GPU the model says why it cannot be made
  const isTooMuch = ({ host }: MemoryPlan) => hostAvailable !== undefined && host > hostAvailable;
  const fits = (planned: MemoryPlan) => planned.total <= free && !isTooMuch(planned);
  if (fits(plan)) return;
  const lacks = [
    plan.total > free ? `${inWords(plan.total)} of memory, but the ${NAMES[plan.device]} has ${inWords(free)} available` : "",
    isTooMuch(plan) ? `${inWords(plan.host)} of the host's memory for models that wait there, of which ${inWords(hostAvailable ?? 0)} is available` : "",
  ];
  const sentence = `This run needs ${lacks.filter(Boolean).join("; and ")}.`;
  const start = "PRIMEKIT_MEMORY_CHECK=off starts it all the same.";
  throw new PrimekitError("ERR_OUT_OF_MEMORY", `${sentence}\n\n${renderPlan(plan, free)}\n\n${adviceFor(wanted, fits)} ${start}`);
}

/** The configuration of a model's directory. Throws as Model.load does. */
export async function modelConfigIn(dir: string, name = "config.json"): Promise<CompleteConfig> {
  return fromHuggingFace(await readModelJson(dir, name), join(dir, name));
}

/** Tokens of the largest batch under a budget: the budget, or all there is where that is less; one row alone may be longer than the budget. */
export function batchTokens(budget: number, rows: number, longestRow: number): number {
  return Math.max(longestRow, Math.min(budget, rows * longestRow));
}

/** 950.00 MB. */
export function inWords(bytes: number): string {
  if (bytes === 0) return "–";
  const [unit, name] = bytes >= 1e9 ? [1e9, "GB"] : bytes >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(bytes / unit).toFixed(2)} ${name}`;
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
const scratchOf = (models: MemoryPlan["models"]) => Math.max(...models.map(({ bytes }) => bytes.scratch));
