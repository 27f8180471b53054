// Model: a Qwen2-family language model in native memory: log-probs, gradients, AdamW, generation, HF directories.
// THE INTERFACE BELOW IS FIXED; the implementation joins with the engine.

/** Packed sequences, prompt + response each. Row i is tokens[offsets[i] .. offsets[i+1]). */
export interface Batch {
  tokens: Int32Array; // [N]
  offsets: Int32Array; // [B+1]
  /** Tokens of each row that are context only. Default 1 each: every token but the first is scored. */
  promptLengths?: Int32Array; // [B], each >= 1 unless the row is empty
}

/** Results are packed over the scored tokens: row i has max(0, length_i - promptLengths[i]) of them. */
export interface TokenScores {
  logprobs: Float32Array; // [R]
  entropy: Float32Array; // [R]
  offsets: Int32Array; // [B+1] into the scored tokens
}

export interface ForwardOptions {
  temperature?: number; // default 1
  signal?: AbortSignal;
}

export interface TokenGradients {
  dLogprobs: Float32Array; // [R]
  dEntropy?: Float32Array; // [R]
}

export interface StepOptions {
  lr: number;
  betas?: [number, number]; // default [0.9, 0.999]
  eps?: number; // default 1e-8
  weightDecay?: number; // default 0; decoupled; matrices only, never norms or biases
  gradClip?: number; // global norm; 0 = off; default 1
}

export interface GenerateOptions {
  samples?: number; // G per prompt, default 1
  maxNewTokens: number;
  temperature?: number; // default 1; 0 = greedy
  topP?: number; // default 1
  topK?: number; // default 0 = off
  stop?: { tokens?: readonly number[]; strings?: readonly string[]; tokenBytes?: (id: number) => Uint8Array };
  seed?: number | bigint;
  /** Counter of the first sequence; sequence of prompt p, sample g draws from stream firstSequence + p*G + g. */
  firstSequence?: number | bigint;
  maxBatch?: number; // decoding slots, default 256
  onProgress?: (done: number, total: number) => void; // finished sequences
  signal?: AbortSignal;
}

export interface Rollout {
  prompt: number; // index into prompts
  sample: number; // 0..G-1
  tokens: Int32Array; // generated tokens, with the stop token when one ended it
  logprobs: Float32Array; // of the full distribution at `temperature` (1 when greedy)
  finishReason: "stop" | "length";
}

export interface ModelOptions {
  device?: "auto" | "cpu" | "cuda";
  dtype?: "float32" | "bfloat16"; // compute type; masters are float32
  trainable?: boolean; // default true: gradients and optimizer state on first use
  recompute?: boolean; // recompute activations in the backward pass
  seed?: number | bigint; // of random weights
}
