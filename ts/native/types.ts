// The type of every export of the addon. Validation and defaults happen above, in ts/kernels.ts and ts/model.ts.

export type Floats = Float32Array | Float64Array;
/** float32, or bfloat16 as its 16 bits. */
export type Matrix = Float32Array | Uint16Array;

export type ArrayDType = "float32" | "float64" | "bfloat16" | "int32";
export type HostArray = Float32Array | Float64Array | Uint16Array | Int32Array;

/** Memory of a device. With `later` true a call runs on the compute thread and returns a promise. */
export interface NativeDeviceArray {
  clear(later: boolean): unknown;
  write(source: HostArray, later: boolean): unknown;
  read(target: HostArray, later: boolean): unknown;
  free(): void;
}
/** What a kernel takes in place of a typed array: a DeviceArray of ts/kernels. */
export interface DeviceHandle {
  readonly handle: NativeDeviceArray | undefined; // undefined once freed
}
type FloatValues = Float32Array | DeviceHandle;
type LogProbs = Floats | DeviceHandle;
type MatrixValues = Matrix | DeviceHandle;

/** Stops a long job when its first element becomes non-zero; backed by a SharedArrayBuffer. */
export type CancelFlag = Int32Array;
export type NativeProgress = (done: number, total: number) => void;

export interface NativeInfo {
  cpuFeatures: string[];
  gemm: string;
  threads: number;
  compiler: string;
  nvcc?: string; // version of the CUDA compiler found at build time
  cudaBackend: boolean; // whether GPU kernels are in this build
}

export interface NativeCudaState {
  driverLibrary: boolean;
  driverVersion: number; // 12040 means CUDA 12.4; 0 when unknown
  devices: string[];
  state: string; // one sentence
}

export interface NativeModelConfig {
  hiddenSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  feedForwardSize: number;
  vocabSize: number;
  ropeFrequencies: Float32Array; // [HD/2] radians per position
  ropeScale: number; // of all cosines and sines
  rmsNormEps: number;
  tiedHead: boolean;
  qkvBias: boolean;
  oBias: boolean;
  mlpBias: boolean;
}

export interface NativeModelOptions {
  device: "cpu" | "cuda";
  dtype: "float32" | "bfloat16";
  recompute: boolean;
  trainable: boolean; // false and bfloat16: no float32 masters are kept
  moments: "float32" | "bfloat16"; // of AdamW
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
  /** Also reports every token as it is drawn: progress(sequence, -1 - token). */
  streamTokens: boolean;
}

export type NativeSlot = "value" | "gradient" | "firstMoment" | "secondMoment";
export interface NativeTensorPart {
  name: string;
  slot: NativeSlot;
  type: "F32" | "BF16" | "F16";
}

/** A model in native memory. Calls on all models run one after another on the compute thread. */
export interface NativeModel {
  initialize(seed: bigint, std: number): Promise<void>;
  /** `begin`: byte in the file at which the tensor's data start. */
  loadTensors(file: string, parts: (NativeTensorPart & { begin: number })[], cancel?: CancelFlag): Promise<void>;
  /** Writes `header` and then the tensors, in order, and flushes the file to the disk. */
  saveTensors(file: string, header: Uint8Array, parts: NativeTensorPart[]): Promise<void>;
  copyFrom(other: NativeModel): Promise<void>;
  parameters(): { name: string; shape: number[] }[];
  readParameter(name: string, slot: NativeSlot): Promise<Float32Array>;
  writeParameter(name: string, values: Float32Array): Promise<void>;
  /** Log-probs and entropies [R] of the scored tokens, packed; keeps activations for backward() when keep is true. */
  forward(
    tokens: Int32Array, // [N]
    offsets: Int32Array, // [B+1]
    promptLengths: Int32Array, // [B]
    temperature: number,
    keep: boolean,
    cancel?: CancelFlag,
    progress?: NativeProgress,
  ): Promise<{ logprobs: Float32Array; entropy: Float32Array }>;
  /** Raw logits [N, V] of every position: for tests and small models. */
  logits(tokens: Int32Array, offsets: Int32Array): Promise<Float32Array>;
  /** Gradients of the kept forward(); accumulates. */
  backward(dLogprobs: Float32Array /* [R] */, dEntropy?: Float32Array /* [R] */, cancel?: CancelFlag, progress?: NativeProgress): Promise<void>;
  zeroGradients(): Promise<void>;
  step(lr: number, beta1: number, beta2: number, eps: number, weightDecay: number, gradClip: number): Promise<{ gradNorm: number; skipped: boolean }>;
  stepCount(): Promise<number>;
  setStepCount(steps: number): Promise<void>;
  resetOptimizer(): Promise<void>;
  generate(
    tokens: Int32Array, // [N] of all prompts
    offsets: Int32Array, // [P+1]
    sequenceIds: BigUint64Array, // [P*G]
    options: NativeGenerateOptions,
    cancel?: CancelFlag,
    progress?: NativeProgress,
  ): Promise<NativeRollouts>;
  /** All of the device's memory is given back; weights, moments and gradients wait in the host's. On the CPU nothing happens. */
  offload(): Promise<void>;
  restore(): Promise<void>;
  trim(): Promise<void>;
  /** Allocated now; `pinned` in the host's memory, the others on the device. */
  memoryBytes(): { parameters: number; gradients: number; optimizer: number; activations: number; pinned: number };
  close(): void;
}

/** Sizes, flags and arrays of one op; see native/binding/ops_*binding.cpp. dtype is the activation type, "float32" or "bfloat16". */
export type OpArguments = Record<string, number | boolean | string | Float32Array | Int32Array | undefined>;
type Op<Result extends string> = (args: OpArguments) => Promise<Record<Result, Float32Array>>;

/** The backend's ops one by one on host arrays: a surface for tests of a backend, not for training. */
export interface NativeOps {
  matmul: Op<"out">; // m n k a b; transposeA transposeB floatOut bias out (given: accumulates)
  matmulSeconds: Op<"seconds">; // m n k repeats: times of the product alone
  columnSum: Op<"out">; // n cols in out (accumulates)
  embeddingForward: Op<"out">; // n c vocab tokens weight (rounded to dtype first)
  embeddingBackward: Op<"dWeight">; // n c vocab tokens dOut dWeight (accumulates)
  rmsnormForward: Op<"normed" | "rstd" | "xOut">; // n c eps x weight; delta
  rmsnormBackward: Op<"dX" | "dXCast" | "dWeight">; // n c dX dWeight (both accumulate) dNormed x weight rstd
  rope: Op<"qkv">; // n tableRows heads kvHeads headSize qkv table positions; inverse
  attentionForward: Op<"out" | "lse">; // n heads kvHeads headSize qkv offsets
  attentionBackward: Op<"dQkv">; // n heads kvHeads headSize dOut out lse qkv offsets
  swigluForward: Op<"out">; // n f gateUp
  swigluBackward: Op<"dGateUp" | "outAgain">; // n f dOut gateUp; inPlace
  gatherRows: Op<"out">; // n c r in rows
  scatterRows: Op<"out">; // n c r in rows
  squaredNorm: Op<"sum">; // n values
  adamw: Op<"params" | "paramsCast" | "m" | "v">; // n lr beta1 beta2 eps weightDecay step gradScale params grads m v; bfloat16Moments first
  linearLogprobs: Op<"logprobs" | "entropy" | "dHidden" | "dWeight">; // n c vocab temperature hidden weight targets dLogprobs dEntropy dWeight (accumulates)
  decodeAttention: Op<"out">; // n filled copies heads kvHeads headSize qkv
  sample: Op<"tokens" | "logprobs">; // m vocab temperature topP topK seed logits sequences positions
}

export interface NativePpoResult {
  loss: number;
  clipFraction: number;
  approxKl: number;
  ratioMax: number;
  kl: number;
  entropy: number;
}

/**
 * The kernels: outputs first. With a cancel flag a call runs on the compute thread and returns a promise of its result. A device is where
 * typed arrays are to be worked on; DeviceArrays are where they are.
 */
export interface KernelExports {
  tokenLogprobs(
    logprobs: FloatValues,
    entropy: FloatValues | undefined,
    logits: MatrixValues,
    targets: Int32Array,
    vocabSize: number,
    rowStride: number,
    temperature: number,
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): unknown;
  tokenLogprobsBackward(
    dLogits: MatrixValues,
    logits: MatrixValues,
    targets: Int32Array,
    dLogprobs: FloatValues,
    dEntropy: FloatValues | undefined,
    vocabSize: number,
    rowStride: number,
    temperature: number,
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): unknown;
  /** hidden and weight: FloatValues, or Uint16Array of bfloat16 bits. */
  linearLogprobs(
    logprobs: FloatValues,
    entropy: FloatValues | undefined,
    logSumExp: FloatValues,
    hidden: MatrixValues,
    weight: MatrixValues,
    targets: Int32Array,
    vocabSize: number,
    hiddenSize: number,
    temperature: number,
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): unknown;
  linearLogprobsBackward(
    dHidden: FloatValues,
    dWeight: FloatValues,
    hidden: MatrixValues,
    weight: MatrixValues,
    targets: Int32Array,
    logSumExp: FloatValues,
    entropy: FloatValues | undefined,
    dLogprobs: FloatValues,
    dEntropy: FloatValues | undefined,
    vocabSize: number,
    hiddenSize: number,
    temperature: number,
    accumulate: boolean, // dWeight
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): unknown;
  implicitRewards(
    rewards: FloatValues,
    q: FloatValues,
    scores: FloatValues,
    prmLogprobs: LogProbs,
    refLogprobs: LogProbs,
    offsets: Int32Array,
    beta: number,
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): unknown;
  stepRewards(
    cumulative: FloatValues,
    perStep: FloatValues,
    q: FloatValues,
    offsets: Int32Array,
    stepEnds: Int32Array,
    stepOffsets: Int32Array,
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): unknown;
  primeAdvantages(
    advantages: FloatValues,
    returns: FloatValues,
    processRewards: FloatValues | undefined,
    outcomeRewards: FloatValues | undefined,
    offsets: Int32Array,
    groupOffsets: Int32Array,
    gammaProcess: number,
    gammaOutcome: number,
    processCoef: number,
    outcomeCoef: number,
    released: boolean,
    normalizeBatch: boolean,
    whiten: boolean,
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): unknown;
  /** aggregate: 0 token-mean, 1 sequence-mean, 2 sequence-sum-mean. dualClip 0 = off. normalizer 0 = this call's own. */
  ppoClipLoss(
    dLogprobs: FloatValues,
    dEntropy: FloatValues | undefined,
    logprobs: LogProbs,
    oldLogprobs: LogProbs,
    advantages: FloatValues,
    entropy: FloatValues | undefined,
    refLogprobs: LogProbs | undefined,
    offsets: Int32Array,
    clipLow: number,
    clipHigh: number,
    aggregate: number,
    dualClip: number,
    entropyCoef: number,
    klCoef: number,
    normalizer: number,
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): NativePpoResult | Promise<NativePpoResult>;
  prmCrossEntropyLoss(
    dLogprobs: FloatValues,
    probabilities: FloatValues,
    prmLogprobs: LogProbs,
    refLogprobs: LogProbs,
    offsets: Int32Array,
    labels: FloatValues,
    beta: number,
    normalizer: number,
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): unknown;
  prmDpoLoss(
    dLogprobs: FloatValues,
    prmLogprobs: LogProbs,
    refLogprobs: LogProbs,
    offsets: Int32Array,
    labels: FloatValues,
    groupOffsets: Int32Array,
    groupScores: FloatValues | undefined,
    beta: number,
    cancel?: CancelFlag,
    device?: "cpu" | "cuda",
  ): unknown;
  /** Bytes per second that all threads read, and copy (bytes read plus bytes written); best of `repeats`. */
  memoryBandwidth(megabytes: number, repeats: number): { read: number; copy: number };
}

/** What a model is to do: the largest sizes of each kind; 0 where it does none of it. */
export interface PlannedWork {
  trainTokens: number; // of a batch with a backward
  scoreTokens: number; // of a batch without
  slots: number; // sequences decoded at once
  promptTokens: number; // of the longest prompt
  newTokens: number; // of the longest answer
}

/** Bytes a model allocates for that, by kind. */
export interface NativeMemoryPlan {
  weights: number; // float32
  rounded: number; // bfloat16, and a copy in the order that products read fastest
  gradients: number;
  moments: number;
  activations: number;
  cache: number; // keys and values
  decoding: number; // activations and logits of generation
  scratch: number; // of the ops, for all models on the device together
}

export interface NativeAddon extends KernelExports {
  /** Memory of `length` elements, on "cuda" taken on first use. */
  NativeDeviceArray: new (
    device: "cpu" | "cuda",
    dtype: ArrayDType,
    length: number,
  ) => NativeDeviceArray;
  info(): NativeInfo;
  ops: NativeOps;
  cudaState(): NativeCudaState;
  setThreads(threads: number): void;
  createModel(config: NativeModelConfig, options: NativeModelOptions): NativeModel;
  /** Counts and allocates nothing; needs no GPU for "cuda". */
  planMemory(config: NativeModelConfig, options: NativeModelOptions, work: PlannedWork): NativeMemoryPlan;
  /** Bytes of the GPU. */
  cudaMemory(): { free: number; total: number };
}
