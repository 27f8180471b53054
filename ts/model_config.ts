// Qwen2Config: config.json of a Hugging Face directory, read into camelCase and checked; anything unsupported is refused by name.
import { describe, PrimekitError } from "./errors.ts";
import type { NativeModelConfig } from "./native/types.ts";

export interface Qwen2Config {
  vocabSize: number; // V
  hiddenSize: number; // C
  intermediateSize: number; // F
  numHiddenLayers: number; // L
  numAttentionHeads: number; // NH
  numKeyValueHeads: number; // NKV
  headDim?: number; // HD, default hiddenSize / numAttentionHeads
  ropeTheta?: number; // default 10000
  rmsNormEps?: number; // default 1e-6
  tieWordEmbeddings?: boolean; // default true
  maxPositionEmbeddings?: number; // default 4096
  initializerRange?: number; // default 0.02
  bosTokenId?: number;
  eosTokenId?: number;
  padTokenId?: number;
}

/** Fills in defaults and checks sizes. Throws ERR_CONFIG naming the field. */
export function completeConfig(config: Qwen2Config): Required<Omit<Qwen2Config, "bosTokenId" | "eosTokenId" | "padTokenId">> & Qwen2Config {
  for (const name of ["vocabSize", "hiddenSize", "intermediateSize", "numHiddenLayers", "numAttentionHeads", "numKeyValueHeads"] as const) {
    if (!Number.isInteger(config[name]) || config[name] < 1) throw configError(name, "a positive integer", config[name]);
  }
  const headDim = config.headDim ?? config.hiddenSize / config.numAttentionHeads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) throw configError("headDim (hiddenSize / numAttentionHeads)", "an even integer", headDim);
  if (config.numAttentionHeads % config.numKeyValueHeads !== 0)
    throw configError("numAttentionHeads", `a multiple of numKeyValueHeads (${config.numKeyValueHeads})`, config.numAttentionHeads);
  const complete = {
    ropeTheta: 10000,
    rmsNormEps: 1e-6,
    tieWordEmbeddings: true,
    maxPositionEmbeddings: 4096,
    initializerRange: 0.02,
    ...dropUndefined(config),
    headDim,
  };
  for (const name of ["ropeTheta", "rmsNormEps", "initializerRange"] as const) {
    if (!(Number.isFinite(complete[name]) && complete[name] > 0)) throw configError(name, "a positive number", complete[name]);
  }
  return complete;
}

export function toNativeConfig(config: ReturnType<typeof completeConfig>): NativeModelConfig {
  return {
    hiddenSize: config.hiddenSize,
    layers: config.numHiddenLayers,
    heads: config.numAttentionHeads,
    kvHeads: config.numKeyValueHeads,
    headSize: config.headDim,
    feedForwardSize: config.intermediateSize,
    vocabSize: config.vocabSize,
    ropeTheta: config.ropeTheta,
    rmsNormEps: config.rmsNormEps,
    tiedHead: config.tieWordEmbeddings,
    qkvBias: true, // Qwen2 always has biases on q, k and v
  };
}

/** config.json -> Qwen2Config. Both spellings of the RoPE settings; refuses other architectures and options by name. */
export function fromHuggingFace(json: Record<string, unknown>, file: string): Qwen2Config {
  const refuse = (what: string): never => {
    throw new PrimekitError("ERR_UNSUPPORTED", `${file} asks for ${what}, which is not supported.`);
  };
  if (json.model_type !== "qwen2") refuse(`model_type ${describe(json.model_type)} (supported: "qwen2")`);
  if (json.hidden_act !== undefined && json.hidden_act !== "silu") refuse(`hidden_act ${describe(json.hidden_act)} (supported: "silu")`);
  if (json.use_sliding_window === true) refuse("use_sliding_window");
  const rope = (json.rope_parameters ?? json.rope_scaling) as Record<string, unknown> | null | undefined;
  const ropeType = rope?.rope_type ?? rope?.type ?? "default";
  if (ropeType !== "default") refuse(`RoPE of type ${describe(ropeType)}`);
  const eos = Array.isArray(json.eos_token_id) ? json.eos_token_id[0] : json.eos_token_id;
  return completeConfig({
    vocabSize: json.vocab_size as number,
    hiddenSize: json.hidden_size as number,
    intermediateSize: json.intermediate_size as number,
    numHiddenLayers: json.num_hidden_layers as number,
    numAttentionHeads: json.num_attention_heads as number,
    numKeyValueHeads: (json.num_key_value_heads ?? json.num_attention_heads) as number,
    headDim: (json.head_dim ?? undefined) as number | undefined,
    ropeTheta: (rope?.rope_theta ?? json.rope_theta ?? undefined) as number | undefined,
    rmsNormEps: json.rms_norm_eps as number | undefined,
    tieWordEmbeddings: (json.tie_word_embeddings ?? false) as boolean,
    maxPositionEmbeddings: json.max_position_embeddings as number | undefined,
    initializerRange: json.initializer_range as number | undefined,
    bosTokenId: (json.bos_token_id ?? undefined) as number | undefined,
    eosTokenId: (eos ?? undefined) as number | undefined,
    padTokenId: (json.pad_token_id ?? undefined) as number | undefined,
  });
}

/** Qwen2Config -> config.json, as transformers writes it (both RoPE spellings, so that old and new versions read it). */
export function toHuggingFace(config: Qwen2Config, dtype: "float32" | "bfloat16"): Record<string, unknown> {
  const c = completeConfig(config);
  return {
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    vocab_size: c.vocabSize,
    hidden_size: c.hiddenSize,
    intermediate_size: c.intermediateSize,
    num_hidden_layers: c.numHiddenLayers,
    num_attention_heads: c.numAttentionHeads,
    num_key_value_heads: c.numKeyValueHeads,
    head_dim: c.headDim,
    hidden_act: "silu",
    max_position_embeddings: c.maxPositionEmbeddings,
    initializer_range: c.initializerRange,
    rms_norm_eps: c.rmsNormEps,
    rope_theta: c.ropeTheta,
    rope_parameters: { rope_type: "default", rope_theta: c.ropeTheta },
    tie_word_embeddings: c.tieWordEmbeddings,
    attention_dropout: 0.0,
    use_cache: true,
    use_sliding_window: false,
    torch_dtype: dtype,
    ...(c.bosTokenId === undefined ? {} : { bos_token_id: c.bosTokenId }),
    ...(c.eosTokenId === undefined ? {} : { eos_token_id: c.eosTokenId }),
    ...(c.padTokenId === undefined ? {} : { pad_token_id: c.padTokenId }),
  };
}

// --- internal ---

function configError(field: string, expected: string, got: unknown): PrimekitError {
  return new PrimekitError("ERR_CONFIG", `The model configuration's ${field} must be ${expected}, but is ${describe(got)}.`);
}

function dropUndefined<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}
