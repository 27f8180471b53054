// ModelConfig: config.json of a Hugging Face directory, read into camelCase and checked; anything unsupported is refused by name.
import { describe, PrimekitError } from "./errors.ts";
import { checkRopeScaling, type RopeScaling, ropeScalingFromHuggingFace, ropeScalingToHuggingFace, ropeTable } from "./model_rope.ts";
import type { NativeModelConfig } from "./native/types.ts";

export interface ModelConfig {
  architecture?: "qwen2" | "llama"; // default "qwen2"
  vocabSize: number; // V
  hiddenSize: number; // C
  intermediateSize: number; // F
  numHiddenLayers: number; // L
  numAttentionHeads: number; // NH
  numKeyValueHeads: number; // NKV
  headDim?: number; // HD, default hiddenSize / numAttentionHeads
  attentionBias?: boolean; // Llama: biases on q, k, v and o, default false. Qwen2 always has them on q, k and v
  mlpBias?: boolean; // Llama: biases on gate, up and down, default false. Qwen2 never has them
  ropeTheta?: number; // default 10000
  ropeScaling?: RopeScaling;
  rmsNormEps?: number; // default 1e-6
  tieWordEmbeddings?: boolean; // default true
  maxPositionEmbeddings?: number; // default 4096
  initializerRange?: number; // default 0.02
  bosTokenId?: number;
  eosTokenId?: number;
  eosTokenIds?: number[]; // every token that ends a text, where it is not eosTokenId alone
  padTokenId?: number;
}

/** The same under its earlier name. */
export type Qwen2Config = ModelConfig;

type Optional = "ropeScaling" | "bosTokenId" | "eosTokenId" | "eosTokenIds" | "padTokenId";
export type CompleteConfig = Required<Omit<ModelConfig, Optional>> & ModelConfig;

/** Fills in defaults and checks sizes. Throws ERR_CONFIG naming the field. */
export function completeConfig(config: ModelConfig): CompleteConfig {
  const architecture = config.architecture ?? "qwen2";
  if (architecture !== "qwen2" && architecture !== "llama") throw configError("architecture", '"qwen2" or "llama"', architecture);
  for (const [name, limit] of Object.entries(SIZES)) {
    const size = config[name as keyof ModelConfig];
    if (!(Number.isInteger(size) && (size as number) >= 1 && (size as number) <= limit))
      throw configError(name, `a positive integer of at most ${limit}`, size);
  }
  const headDim = config.headDim ?? config.hiddenSize / config.numAttentionHeads;
  if (!(Number.isInteger(headDim) && headDim % 2 === 0 && headDim >= 2 && headDim <= 1024))
    throw configError("headDim (hiddenSize / numAttentionHeads)", "an even integer of at most 1024", headDim);
  if (config.numAttentionHeads % config.numKeyValueHeads !== 0)
    throw configError("numAttentionHeads", `a multiple of numKeyValueHeads (${config.numKeyValueHeads})`, config.numAttentionHeads);
  const complete = {
    attentionBias: architecture === "qwen2",
    mlpBias: false,
    ropeTheta: 10000,
    rmsNormEps: 1e-6,
    tieWordEmbeddings: true,
    maxPositionEmbeddings: 4096,
    initializerRange: 0.02,
    ...dropUndefined(config),
    architecture,
    headDim,
  };
  checkNumbers(complete);
  if (architecture === "qwen2" && !complete.attentionBias) throw configError("attentionBias", "true for the qwen2 architecture", false);
  if (architecture === "qwen2" && complete.mlpBias) throw configError("mlpBias", "false for the qwen2 architecture", true);
  if (complete.ropeScaling) checkRopeScaling(complete.ropeScaling, "the model configuration");
  return complete;
}

export function toNativeConfig(config: CompleteConfig): NativeModelConfig {
  const rope = ropeTable(config.ropeTheta, config.headDim, config.ropeScaling);
  return {
    hiddenSize: config.hiddenSize,
    layers: config.numHiddenLayers,
    heads: config.numAttentionHeads,
    kvHeads: config.numKeyValueHeads,
    headSize: config.headDim,
    feedForwardSize: config.intermediateSize,
    vocabSize: config.vocabSize,
    ropeFrequencies: Float32Array.from(rope.frequencies),
    ropeScale: rope.scale,
    rmsNormEps: config.rmsNormEps,
    tiedHead: config.tieWordEmbeddings,
    qkvBias: config.attentionBias,
    oBias: config.attentionBias && config.architecture === "llama",
    mlpBias: config.mlpBias,
  };
}

/** config.json -> ModelConfig. Both spellings of the RoPE settings; refuses other architectures and options by name. */
export function fromHuggingFace(json: Record<string, unknown>, file: string): CompleteConfig {
  const architecture = checkSupported(json, file);
  const llama = architecture === "llama";
  const maxPositionEmbeddings = (json.max_position_embeddings ?? (llama ? 2048 : 32768)) as number; // as transformers' classes
  const rope = ropeObject(json, file);
  const ids = { bos: idOf(json, "bos_token_id", llama ? 1 : undefined, file), pad: idOf(json, "pad_token_id", undefined, file) };
  const eos = eosIdsOf(json, file) ?? (llama && json.eos_token_id === undefined ? [2] : []);
  try {
    return completeConfig({
      architecture,
      vocabSize: json.vocab_size as number,
      hiddenSize: json.hidden_size as number,
      intermediateSize: json.intermediate_size as number,
      numHiddenLayers: json.num_hidden_layers as number,
      numAttentionHeads: json.num_attention_heads as number,
      numKeyValueHeads: (json.num_key_value_heads ?? json.num_attention_heads) as number,
      headDim: (json.head_dim ?? undefined) as number | undefined,
      attentionBias: llama ? ((json.attention_bias ?? false) as boolean) : true,
      mlpBias: llama ? ((json.mlp_bias ?? false) as boolean) : false,
      ropeTheta: (rope.rope_theta ?? json.rope_theta ?? undefined) as number | undefined,
      ropeScaling: ropeScalingFromHuggingFace(rope, maxPositionEmbeddings, json.original_max_position_embeddings ?? undefined, file),
      rmsNormEps: (json.rms_norm_eps ?? undefined) as number | undefined,
      tieWordEmbeddings: (json.tie_word_embeddings ?? false) as boolean,
      maxPositionEmbeddings,
      initializerRange: (json.initializer_range ?? undefined) as number | undefined,
      bosTokenId: ids.bos,
      eosTokenId: eos[0],
      eosTokenIds: eos.length > 1 ? eos : undefined,
      padTokenId: ids.pad,
    });
  } catch (error) {
    if (error instanceof PrimekitError && error.code === "ERR_CONFIG") throw new PrimekitError("ERR_CONFIG", `${file}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** ModelConfig -> config.json, as transformers writes it (both RoPE spellings, so that old and new versions read it). */
export function toHuggingFace(config: ModelConfig, dtype: string): Record<string, unknown> {
  const c = completeConfig(config);
  const scaling = ropeScalingToHuggingFace(c.ropeScaling);
  const own =
    c.architecture === "llama"
      ? { architectures: ["LlamaForCausalLM"], model_type: "llama", attention_bias: c.attentionBias, mlp_bias: c.mlpBias }
      : { architectures: ["Qwen2ForCausalLM"], model_type: "qwen2", use_sliding_window: false };
  return dropUndefined({
    ...own,
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
    rope_scaling: c.ropeScaling ? scaling : undefined,
    rope_parameters: { ...scaling, rope_theta: c.ropeTheta },
    tie_word_embeddings: c.tieWordEmbeddings,
    attention_dropout: 0.0,
    use_cache: true,
    torch_dtype: dtype,
    bos_token_id: c.bosTokenId,
    eos_token_id: c.eosTokenIds ?? c.eosTokenId,
    pad_token_id: c.padTokenId,
  });
}

/** The tokens that end a text by a config.json or generation_config.json; undefined when it names none. */
export function eosIdsOf(json: Record<string, unknown>, file: string): number[] | undefined {
  const value = json.eos_token_id ?? undefined;
  if (value === undefined) return undefined;
  const ids = Array.isArray(value) ? value : [value];
  if (!ids.every(isId)) throw new PrimekitError("ERR_CONFIG", `The eos_token_id in ${file} must be a token id or a list of them, but is ${describe(value)}.`);
  return ids.length > 0 ? ids : undefined;
}

// --- internal ---

/** The largest sizes the engine takes. */
const SIZES = {
  vocabSize: 2 ** 22,
  hiddenSize: 2 ** 16,
  intermediateSize: 2 ** 20,
  numHiddenLayers: 1024,
  numAttentionHeads: 1024,
  numKeyValueHeads: 1024,
} as const;

const ARCHITECTURES: Record<string, string> = { qwen2: "Qwen2ForCausalLM", llama: "LlamaForCausalLM" };

/** Options that some exporter writes and that would change the result: refused unless they have one of these values (or are absent or null). */
const NEUTRAL: Record<string, readonly unknown[]> = {
  hidden_act: ["silu", "swish"],
  use_sliding_window: [false],
  attention_dropout: [0],
  hidden_dropout: [0],
  partial_rotary_factor: [1],
  rope_interleaved: [false],
  quantization_config: [],
  auto_map: [],
  qk_norm: [false],
  use_qk_norm: [false],
  qk_layernorm: [false],
  num_experts: [0],
  num_local_experts: [0],
  n_routed_experts: [0],
  attn_logit_softcapping: [],
  final_logit_softcapping: [],
  attention_chunk_size: [],
  no_rope_layers: [],
  use_mrope: [false],
  logit_scale: [1],
  embedding_multiplier: [1],
  residual_multiplier: [1],
  attention_multiplier: [],
};

/** The architecture, when it and all its options are supported. Throws ERR_UNSUPPORTED naming the first that is not. */
function checkSupported(json: Record<string, unknown>, file: string): "qwen2" | "llama" {
  const refuse = (what: string): never => {
    throw new PrimekitError("ERR_UNSUPPORTED", `${file} asks for ${what}, which is not supported.`);
  };
  const type = json.model_type;
  if (type !== "qwen2" && type !== "llama") return refuse(`model_type ${describe(type)} (supported: "qwen2", "llama")`);
  const classes = json.architectures ?? [ARCHITECTURES[type]];
  const other = Array.isArray(classes) ? classes.find((name) => name !== ARCHITECTURES[type]) : classes;
  if (other !== undefined) refuse(`the architecture ${describe(other)} (supported for ${type}: "${ARCHITECTURES[type]}")`);
  for (const [key, neutral] of Object.entries(NEUTRAL)) {
    const value = Object.hasOwn(json, key) ? json[key] : undefined;
    if (value !== undefined && value !== null && !neutral.includes(value)) refuse(`${key} ${show(value)}`);
  }
  if (type === "llama" && (json.sliding_window ?? null) !== null) refuse(`sliding_window ${show(json.sliding_window)}`);
  if (Array.isArray(json.layer_types)) {
    const kind = json.layer_types.find((name) => name !== "full_attention");
    if (kind !== undefined) refuse(`layers of type ${describe(kind)} (supported: "full_attention")`);
  }
  return type;
}

/** rope_scaling or rope_parameters, whichever is there; transformers prefers the first. */
function ropeObject(json: Record<string, unknown>, file: string): Record<string, unknown> {
  for (const key of ["rope_scaling", "rope_parameters"]) {
    const value = json[key] ?? undefined;
    if (value === undefined) continue;
    if (typeof value !== "object" || Array.isArray(value))
      throw new PrimekitError("ERR_CONFIG", `The ${key} in ${file} must be an object, but is ${describe(value)}.`);
    if (Object.keys(value as object).length > 0) return value as Record<string, unknown>;
  }
  return {};
}

function idOf(json: Record<string, unknown>, key: string, missing: number | undefined, file: string): number | undefined {
  const value = json[key] === undefined ? missing : (json[key] ?? undefined);
  if (value !== undefined && !isId(value)) throw new PrimekitError("ERR_CONFIG", `The ${key} in ${file} must be a token id, but is ${describe(value)}.`);
  return value;
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= -1; // -1: some exporters' "none"
}

function checkNumbers(config: Record<string, unknown>): void {
  for (const name of ["ropeTheta", "rmsNormEps", "initializerRange", "maxPositionEmbeddings"]) {
    const value = config[name];
    if (!(typeof value === "number" && Number.isFinite(value) && value > 0)) throw configError(name, "a positive number", value);
  }
  for (const name of ["tieWordEmbeddings", "attentionBias", "mlpBias"]) {
    if (typeof config[name] !== "boolean") throw configError(name, "true or false", config[name]);
  }
}

function show(value: unknown): string {
  return typeof value === "object" ? describe(value) : JSON.stringify(value);
}

function configError(field: string, expected: string, got: unknown): PrimekitError {
  return new PrimekitError("ERR_CONFIG", `The model configuration's ${field} must be ${expected}, but is ${describe(got)}.`);
}

function dropUndefined<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}
