// Streams a Hugging Face directory of random weights to the disk, for trying sizes whose real weights are not at hand:
//   bun scripts/make_random_model.ts DIR [PRESET or config.json] [--shard-bytes 300000000] [--dtype bfloat16] [--seed 1]
// The same arguments give the same bytes. Memory use does not grow with the model.
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type CompleteConfig, fromHuggingFace } from "../ts/model_config.ts";
import { makeTensorHeader, type TensorType, tensorBytes } from "../ts/safetensors.ts";

/** config.json of models as published. */
export const PRESETS: Record<string, Record<string, unknown>> = {
  "qwen2.5-0.5b": {
    architectures: ["Qwen2ForCausalLM"],
    attention_dropout: 0.0,
    bos_token_id: 151643,
    eos_token_id: 151645,
    hidden_act: "silu",
    hidden_size: 896,
    initializer_range: 0.02,
    intermediate_size: 4864,
    max_position_embeddings: 32768,
    max_window_layers: 21,
    model_type: "qwen2",
    num_attention_heads: 14,
    num_hidden_layers: 24,
    num_key_value_heads: 2,
    rms_norm_eps: 1e-6,
    rope_theta: 1000000.0,
    sliding_window: 32768,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
    use_cache: true,
    use_sliding_window: false,
    vocab_size: 151936,
  },
  "llama-3.2-1b": {
    architectures: ["LlamaForCausalLM"],
    attention_bias: false,
    attention_dropout: 0.0,
    bos_token_id: 128000,
    eos_token_id: [128001, 128008, 128009],
    head_dim: 64,
    hidden_act: "silu",
    hidden_size: 2048,
    initializer_range: 0.02,
    intermediate_size: 8192,
    max_position_embeddings: 131072,
    mlp_bias: false,
    model_type: "llama",
    num_attention_heads: 32,
    num_hidden_layers: 16,
    num_key_value_heads: 8,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: { factor: 32.0, high_freq_factor: 4.0, low_freq_factor: 1.0, original_max_position_embeddings: 8192, rope_type: "llama3" },
    rope_theta: 500000.0,
    tie_word_embeddings: true,
    torch_dtype: "bfloat16",
    use_cache: true,
    vocab_size: 128256,
  },
};

export interface RandomModelOptions {
  shardBytes?: number; // default 300 MB
  dtype?: "float32" | "bfloat16"; // default bfloat16
  seed?: number;
}

/** Writes config.json, generation_config.json and sharded weights. Returns the number of weights. */
export function makeRandomModel(dir: string, config: Record<string, unknown>, options: RandomModelOptions = {}): number {
  const { shardBytes = 300e6, dtype = "bfloat16", seed = 1 } = options;
  const type = dtype === "float32" ? "F32" : "BF16";
  const shards: Tensor[][] = [[]];
  let bytes = 0;
  for (const tensor of tensorsOf(fromHuggingFace(config, "the configuration"), type)) {
    const size = tensorBytes(type, tensor.shape);
    if (bytes > 0 && bytes + size > shardBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards[shards.length - 1].push(tensor);
    bytes += size;
  }
  mkdirSync(dir, { recursive: true });
  const noise = new Noise(seed);
  const number = (i: number) => String(i).padStart(5, "0");
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    writeShard(join(dir, name), shard, noise);
    for (const tensor of shard) weightMap[tensor.name] = name;
  }
  const total = shards.flat().reduce((sum, { shape }) => sum + tensorBytes(type, shape), 0);
  const write = (name: string, value: unknown) => writeFileSync(join(dir, name), `${JSON.stringify(value, null, 2)}\n`);
  write("model.safetensors.index.json", { metadata: { total_size: total }, weight_map: weightMap });
  write("generation_config.json", { bos_token_id: config.bos_token_id, eos_token_id: config.eos_token_id, do_sample: true });
  write("config.json", { ...config, torch_dtype: dtype });
  return total / tensorBytes(type, []);
}

// --- internal ---

interface Tensor {
  name: string;
  type: TensorType;
  shape: number[];
  mean: number;
  std: number;
}

/** Every weight with a distribution under which all of them matter: norms about 1, biases about 0.2, matrices that keep a signal's size. */
function* tensorsOf(c: CompleteConfig, type: TensorType): Generator<Tensor> {
  const matrix = (name: string, rows: number, cols: number, std = 1 / Math.sqrt(cols)): Tensor => ({ name, type, shape: [rows, cols], mean: 0, std });
  const vector = (name: string, size: number): Tensor => ({ name, type, shape: [size], mean: name.endsWith("norm.weight") ? 1 : 0, std: 0.2 });
  const { hiddenSize: C, intermediateSize: F } = c;
  const Q = c.numAttentionHeads * c.headDim;
  const KV = c.numKeyValueHeads * c.headDim;
  const llama = c.architecture === "llama";
  yield matrix("model.embed_tokens.weight", c.vocabSize, C);
  for (let l = 0; l < c.numHiddenLayers; l++) {
    const at = `model.layers.${l}.`;
    const projections: [string, number, number, boolean][] = [
      ["self_attn.q_proj", Q, C, c.attentionBias],
      ["self_attn.k_proj", KV, C, c.attentionBias],
      ["self_attn.v_proj", KV, C, c.attentionBias],
      ["self_attn.o_proj", C, Q, c.attentionBias && llama],
      ["mlp.gate_proj", F, C, c.mlpBias],
      ["mlp.up_proj", F, C, c.mlpBias],
      ["mlp.down_proj", C, F, c.mlpBias],
    ];
    yield vector(`${at}input_layernorm.weight`, C);
    yield vector(`${at}post_attention_layernorm.weight`, C);
    for (const [name, rows, cols, bias] of projections) {
      yield matrix(`${at}${name}.weight`, rows, cols);
      if (bias) yield vector(`${at}${name}.bias`, rows);
    }
  }
  yield vector("model.norm.weight", C);
  if (!c.tieWordEmbeddings) yield matrix("lm_head.weight", c.vocabSize, C);
}

function writeShard(file: string, tensors: readonly Tensor[], noise: Noise): void {
  const handle = openSync(file, "w");
  try {
    writeSync(handle, makeTensorHeader(tensors));
    for (const { shape, type, mean, std } of tensors) {
      const size = shape.reduce((product, n) => product * n, 1);
      for (let at = 0; at < size; at += BLOCK) writeSync(handle, noise.bytes(Math.min(BLOCK, size - at), type, mean, std));
    }
  } finally {
    closeSync(handle);
  }
}

const BLOCK = 1 << 20; // numbers in memory at once

/** Normal numbers by the million: a table of 65,536 of them, looked up by a counted generator. */
class Noise {
  readonly #table = new Float32Array(1 << 16);
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 0x9e3779b9 + 1) >>> 0 || 1;
    const size = this.#table.length;
    for (let i = 0; i < size; i++) {
      const angle = 2 * Math.PI * ((i * 40503) % size) * (1 / size); // pairs of radius and angle, each value of both once
      this.#table[i] = Math.sqrt(-2 * Math.log((i + 0.5) / size)) * Math.cos(angle);
    }
  }

  bytes(count: number, type: TensorType, mean: number, std: number): Uint8Array {
    const values = new Float32Array(count);
    let s = this.#state;
    for (let i = 0; i < count; i++) {
      s ^= s << 13;
      s ^= s >>> 17;
      s ^= s << 5;
      values[i] = mean + std * this.#table[(s >>> 8) & 0xffff];
    }
    this.#state = s >>> 0;
    if (type === "F32") return new Uint8Array(values.buffer);
    const words = new Uint32Array(values.buffer);
    return new Uint8Array(Uint16Array.from(words, (w) => (w + 0x7fff + ((w >>> 16) & 1)) >>> 16).buffer);
  }
}

if (import.meta.main) {
  const options = { "shard-bytes": { type: "string" }, dtype: { type: "string" }, seed: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const [dir, what = "qwen2.5-0.5b"] = positionals;
  if (!dir) throw new Error("Name the directory to write, then a preset or a config.json.");
  const config = PRESETS[what] ?? (JSON.parse(readFileSync(what, "utf8")) as Record<string, unknown>);
  const dtype = (values.dtype ?? "bfloat16") as "float32" | "bfloat16";
  const count = makeRandomModel(dir, config, { dtype, shardBytes: Number(values["shard-bytes"] ?? 300e6), seed: Number(values.seed ?? 1) });
  process.stdout.write(`${dir}: ${count} random weights\n`);
}
