// What sft, prm train, prm score, eval and generate will allocate, for requireMemory().
import { chooseDevice } from "../model.ts";
import type { ModelConfig } from "../model_config.ts";
import type { PlannedWork } from "../native/types.ts";
import { type Change, halving, switched } from "./memory_advice.ts";
import { batchTokens, type ModelUse, type Plannable, planModels } from "./memory_plan.ts";

/** The options of a command that decide how much memory it takes, under the names of its flags; those that it does not have are left out. */
export interface Choice {
  device: "auto" | "cpu" | "cuda";
  dtype: "float32" | "bfloat16";
  moments?: "float32" | "bfloat16";
  recompute?: boolean;
  maxTokensPerBatch?: number;
  slots?: number;
}

/** Rows that are trained on or scored: how many, and the tokens of the longest (or of the longest group that stays together). */
export interface RowSizes {
  rows: number;
  longest: number;
}

/** A model trained on batches of `trained`, while itself or a frozen reference scores `scored`. */
export function trainingWork(
  choice: Choice,
  model: ModelConfig,
  { trained, scored, reference }: { trained: RowSizes; scored: RowSizes; reference?: ModelConfig },
): Plannable<Choice> {
  return planOf(choice, (c) => {
    const scoreTokens = tokensOf(c, scored);
    const work = { trainTokens: tokensOf(c, trained), scoreTokens };
    const own: ModelUse = { name: "model", model, options: { dtype: c.dtype, moments: c.moments, recompute: c.recompute, trainable: true }, work };
    return reference ? [own, frozen("reference", reference, c, { scoreTokens })] : [own];
  });
}

/** Two frozen models that score rows, one after the other. */
export function scoringWork(choice: Choice, prm: ModelConfig, reference: ModelConfig, rows: RowSizes): Plannable<Choice> {
  return planOf(choice, (c) => {
    const work = { scoreTokens: tokensOf(c, rows) };
    return [frozen("PRM", prm, c, work), frozen("reference", reference, c, work)];
  });
}

/** A frozen model that writes `answers` answers, and where there is a PRM further ones that score them (without a reference: the first model). */
export function writingWork(
  choice: Choice,
  model: ModelConfig,
  { answers, promptTokens, newTokens }: { answers: number; promptTokens: number; newTokens: number },
  judges?: { prm: ModelConfig; reference?: ModelConfig },
): Plannable<Choice> {
  return planOf(choice, (c) => {
    const scoring = { scoreTokens: tokensOf(c, { rows: answers, longest: promptTokens + newTokens }) };
    const writing = { slots: Math.min(c.slots ?? answers, answers), promptTokens, newTokens };
    const own = frozen("model", model, c, judges && !judges.reference ? { ...writing, ...scoring } : writing);
    if (!judges) return [own];
    return [own, frozen("PRM", judges.prm, c, scoring), ...(judges.reference ? [frozen("reference", judges.reference, c, scoring)] : [])];
  });
}

// --- internal ---

function planOf(choice: Choice, uses: (choice: Choice) => ModelUse[]): Plannable<Choice> {
  return { config: choice, plan: (changed) => planModels(chooseDevice(changed.device), uses(changed)), changes };
}

function frozen(name: string, model: ModelConfig, { dtype }: Choice, work: Partial<PlannedWork>): ModelUse {
  return { name, model, options: { dtype, trainable: false }, work };
}

function tokensOf({ maxTokensPerBatch = 0 }: Choice, { rows, longest }: RowSizes): number {
  return batchTokens(maxTokensPerBatch, rows, longest);
}

/** In the order of what they cost in speed. */
const changes: Change<Choice>[] = [
  switched("--dtype bfloat16", (c) => (c.dtype === "float32" ? { ...c, dtype: "bfloat16" } : undefined)),
  switched("--moments bfloat16", (c) => (c.moments === "float32" ? { ...c, moments: "bfloat16" } : undefined)),
  halved("maxTokensPerBatch", 256),
  halved("slots", 1),
  switched("--recompute", (c) => (c.recompute === false ? { ...c, recompute: true } : undefined)),
];

function halved(name: "maxTokensPerBatch" | "slots", least: number): Change<Choice> {
  return halving(
    least,
    (c) => c[name] ?? 0,
    (c, value) => ({ ...c, [name]: value }),
    (c) => `--${name} ${c[name]}`,
  );
}
