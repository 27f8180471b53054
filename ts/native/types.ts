// The type of every export of the addon. Validation and defaults happen above, in ts/kernels.ts and ts/model.ts.

export type Floats = Float32Array | Float64Array;

/** Stops a long job when its first element becomes non-zero; backed by a SharedArrayBuffer. */
export type CancelFlag = Int32Array;
export type NativeProgress = (done: number, total: number) => void;

export interface NativeInfo {
  cpuFeatures: string[];
  gemm: string;
  threads: number;
}

export interface NativeModelConfig {
  hiddenSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  feedForwardSize: number;
  vocabSize: number;
  ropeTheta: number;
  rmsNormEps: number;
  tiedHead: boolean;
  qkvBias: boolean;
}

export interface NativeModelOptions {
  dtype: "float32" | "bfloat16";
  trainable: boolean;
  recompute: boolean;
}

export interface NativeRollouts {
  tokens: Int32Array; // [N] generated tokens of all rollouts, in order of sequence
  logprobs: Float32Array; // [N]
  offsets: Int32Array; // [P*G+1]
  finished: Uint8Array; // [P*G] 1 = a stop token or stop string ended it, 0 = the length limit did
}

export interface NativeGenerateOptions {
  samples: number;
  maxNewTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  seed: bigint;
  stopTokens: Int32Array;
  /** Bytes of every stop string, packed; with tokenBytes (bytes of every token id, packed) when there are any. */
  stopBytes?: Uint8Array;
  stopOffsets?: Int32Array;
  tokenBytes?: Uint8Array;
  tokenOffsets?: Int32Array; // [V+1]
  maxBatch: number; // decoding slots
}

/** A model in native memory. Calls on it run one after another on the compute thread. */
export interface NativeModel {
  initialize(seed: bigint, std: number): void;
  loadWeights(files: string[], cancel?: CancelFlag): Promise<void>;
  saveWeights(file: string, dtype: "float32" | "bfloat16"): Promise<void>;
  saveOptimizer(file: string): Promise<void>;
  loadOptimizer(file: string): Promise<void>;
  copyFrom(other: NativeModel): Promise<void>;
  parameterNames(): string[];
  parameterShape(name: string): number[];
  readParameter(name: string, kind: "value" | "gradient"): Promise<Float32Array>;
  writeParameter(name: string, values: Float32Array): Promise<void>;
  /** Log-probs and entropies of the scored tokens, packed; keeps activations for backward() when keep is true. */
  forward(tokens: Int32Array, offsets: Int32Array, promptLengths: Int32Array, temperature: number, keep: boolean, cancel?: CancelFlag, progress?: NativeProgress): Promise<{ logprobs: Float32Array; entropy: Float32Array }>;
  /** Raw logits [N, V] of every position: for tests and small models. */
  logits(tokens: Int32Array, offsets: Int32Array): Promise<Float32Array>;
  /** Gradients of the kept forward(); accumulates. */
  backward(dLogprobs: Float32Array, dEntropy?: Float32Array, cancel?: CancelFlag, progress?: NativeProgress): Promise<void>;
  zeroGradients(): Promise<void>;
  step(lr: number, beta1: number, beta2: number, eps: number, weightDecay: number, gradClip: number): Promise<{ gradNorm: number; skipped: boolean }>;
  generate(tokens: Int32Array, offsets: Int32Array, sequenceIds: BigUint64Array, options: NativeGenerateOptions, cancel?: CancelFlag, progress?: NativeProgress): Promise<NativeRollouts>;
  memoryBytes(): { parameters: number; gradients: number; optimizer: number; activations: number };
  close(): void;
}

export interface NativeAddon {
  info(): NativeInfo;
  setThreads(threads: number): void;
  createModel(config: NativeModelConfig, options: NativeModelOptions): NativeModel;
}
