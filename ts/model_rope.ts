// RoPE: the frequencies of rotary position embedding and their scaling, as transformers' modeling_rope_utils computes them, in float64.
import { describe, PrimekitError } from "./errors.ts";

/** How RoPE is stretched beyond the context it was trained on. `factor` is the stretch; lengths are in tokens. */
export type RopeScaling =
  | { type: "linear"; factor: number }
  | { type: "llama3"; factor: number; lowFreqFactor: number; highFreqFactor: number; originalMaxPositionEmbeddings: number }
  | {
      type: "yarn";
      factor: number;
      originalMaxPositionEmbeddings: number;
      attentionFactor?: number;
      betaFast?: number; // default 32
      betaSlow?: number; // default 1
      mscale?: number;
      mscaleAllDim?: number;
      truncate?: boolean; // default true
    };

/** Angles per position [HD/2] and the factor of all cosines and sines (YaRN's attention factor; otherwise 1). */
export interface RopeTable {
  frequencies: Float64Array;
  scale: number;
}

/** The frequencies of a head of `headDim` numbers (`_compute_*_parameters` of transformers). */
export function ropeTable(theta: number, headDim: number, scaling?: RopeScaling): RopeTable {
  const plain = Float64Array.from({ length: headDim / 2 }, (_, d) => theta ** ((-2 * d) / headDim));
  if (!scaling) return { frequencies: plain, scale: 1 };
  if (scaling.type === "linear") return { frequencies: plain.map((f) => f / scaling.factor), scale: 1 };
  if (scaling.type === "llama3") return { frequencies: plain.map((f) => llama3Frequency(f, scaling)), scale: 1 };
  return yarn(plain, theta, headDim, scaling);
}

/** The scaling that a rope_parameters or rope_scaling object of config.json asks for. Throws ERR_UNSUPPORTED or ERR_CONFIG, naming `file`. */
export function ropeScalingFromHuggingFace(
  rope: Record<string, unknown>,
  maxPositionEmbeddings: number,
  outerOriginal: unknown,
  file: string,
): RopeScaling | undefined {
  const type = rope.rope_type ?? rope.type ?? "default";
  const known = typeof type === "string" && Object.hasOwn(FIELDS, type) ? FIELDS[type] : undefined;
  if (!known) {
    const supported = Object.keys(FIELDS).join(", ");
    throw new PrimekitError("ERR_UNSUPPORTED", `${file} asks for RoPE of type ${describe(type)}, which is not supported (supported: ${supported}).`);
  }
  for (const [key, value] of Object.entries(rope)) {
    if (["rope_type", "type", "rope_theta"].includes(key) || value === null || (key === "partial_rotary_factor" && value === 1)) continue;
    if (!(key in known)) throw new PrimekitError("ERR_UNSUPPORTED", `${file} asks for RoPE of type ${describe(type)} with ${key}, which is not supported.`);
    const expected = key === "truncate" ? "boolean" : "number";
    if (typeof value !== expected)
      throw new PrimekitError("ERR_CONFIG", `The RoPE setting ${key} in ${file} must be a ${expected}, but is ${describe(value)}.`);
  }
  if (type === "default") return undefined;
  const original = outerOriginal ?? rope.original_max_position_embeddings ?? maxPositionEmbeddings;
  const given: Record<string, unknown> = { ...rope, original_max_position_embeddings: original };
  if (type === "yarn") given.factor ??= maxPositionEmbeddings / (original as number);
  const scaling: Record<string, unknown> = { type };
  for (const [key, name] of Object.entries(known)) if (name !== undefined && (given[key] ?? undefined) !== undefined) scaling[name] = given[key];
  return checkRopeScaling(scaling as unknown as RopeScaling, file);
}

/** The rope_scaling object for config.json, without rope_theta. */
export function ropeScalingToHuggingFace(scaling: RopeScaling | undefined): Record<string, unknown> {
  if (!scaling) return { rope_type: "default" };
  const settings = scaling as unknown as Record<string, unknown>;
  const known = Object.entries(FIELDS[scaling.type]).filter(([, name]) => name !== undefined && settings[name] !== undefined);
  return { rope_type: scaling.type, ...Object.fromEntries(known.map(([key, name]) => [key, settings[name as string]])) };
}

/** Throws ERR_CONFIG naming the setting and where it comes from. */
export function checkRopeScaling(scaling: RopeScaling, where: string): RopeScaling {
  const fail = (name: string, expected: string, got: unknown): never => {
    throw new PrimekitError("ERR_CONFIG", `The RoPE scaling's ${name} in ${where} must be ${expected}, but is ${describe(got)}.`);
  };
  const settings = scaling as unknown as Record<string, unknown>;
  if (!["linear", "llama3", "yarn"].includes(scaling.type)) fail("type", '"linear", "llama3" or "yarn"', scaling.type);
  for (const name of REQUIRED[scaling.type]) if (settings[name] === undefined) fail(name, "a positive number", undefined);
  for (const [name, value] of Object.entries(settings)) {
    if (name === "type" || name === "truncate" || value === undefined) continue;
    if (!(typeof value === "number" && Number.isFinite(value) && value > 0)) fail(name, "a positive number", value);
  }
  if (scaling.type === "llama3" && scaling.highFreqFactor <= scaling.lowFreqFactor)
    fail("highFreqFactor", `above lowFreqFactor (${scaling.lowFreqFactor})`, scaling.highFreqFactor);
  return scaling;
}

// --- internal ---

/** config.json's name -> ours, for every type. `undefined`: accepted, and of no meaning for this type. */
const FIELDS: Record<string, Record<string, string | undefined>> = {
  default: { factor: undefined, original_max_position_embeddings: undefined },
  linear: { factor: "factor", original_max_position_embeddings: undefined },
  llama3: {
    factor: "factor",
    low_freq_factor: "lowFreqFactor",
    high_freq_factor: "highFreqFactor",
    original_max_position_embeddings: "originalMaxPositionEmbeddings",
  },
  yarn: {
    factor: "factor",
    original_max_position_embeddings: "originalMaxPositionEmbeddings",
    attention_factor: "attentionFactor",
    beta_fast: "betaFast",
    beta_slow: "betaSlow",
    mscale: "mscale",
    mscale_all_dim: "mscaleAllDim",
    truncate: "truncate",
  },
};

const REQUIRED: Record<RopeScaling["type"], readonly string[]> = {
  linear: ["factor"],
  llama3: ["factor", "lowFreqFactor", "highFreqFactor", "originalMaxPositionEmbeddings"],
  yarn: ["factor", "originalMaxPositionEmbeddings"],
};

/** Short waves stay, long ones are stretched by `factor`, those between are blended. */
function llama3Frequency(frequency: number, s: RopeScaling & { type: "llama3" }): number {
  const turns = (s.originalMaxPositionEmbeddings * frequency) / (2 * Math.PI); // in the original context
  if (turns > s.highFreqFactor) return frequency;
  if (turns < s.lowFreqFactor) return frequency / s.factor;
  const smooth = (turns - s.lowFreqFactor) / (s.highFreqFactor - s.lowFreqFactor);
  return ((1 - smooth) * frequency) / s.factor + smooth * frequency;
}

/** YaRN (arXiv 2309.00071): a ramp over the dimensions from kept to stretched frequencies, and a factor on the attention. */
function yarn(plain: Float64Array, theta: number, headDim: number, s: RopeScaling & { type: "yarn" }): RopeTable {
  const { factor, betaFast = 32, betaSlow = 1, truncate = true } = s;
  const dimension = (turns: number) => (headDim * Math.log(s.originalMaxPositionEmbeddings / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [dimension(betaFast), dimension(betaSlow)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  let high = Math.min(truncate ? Math.ceil(last) : last, headDim - 1);
  if (high === low) high += 0.001;
  const frequencies = plain.map((f, d) => {
    const ramp = Math.min(1, Math.max(0, (d - low) / (high - low)));
    return (f / factor) * ramp + f * (1 - ramp);
  });
  const mscale = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const inferred = s.mscale && s.mscaleAllDim ? mscale(s.mscale) / mscale(s.mscaleAllDim) : mscale(1);
  return { frequencies, scale: s.attentionFactor ?? inferred };
}
