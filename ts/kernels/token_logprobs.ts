// Log-probability of the target token and entropy of its distribution, from logits.
import { typeError } from "../errors.ts";
import { type KernelCall, type RunOptions, runLater, runNow, type WithSignal } from "./call.ts";
import {
  type Beside,
  float32,
  type Indices,
  integerIn,
  kernelOptions,
  type Logits,
  MAX_SIZE,
  matrix,
  numberIn,
  optionalFloat32,
  optionsOf,
  output,
  targetsOf,
} from "./checks.ts";
import { DeviceArray } from "./device_array.ts";

export interface TokenLogprobsOptions<V = Float32Array> extends RunOptions {
  vocabSize: number; // V
  temperature?: number; // logits are divided by it; 1e-6..1e6, default 1
  rowStride?: number; // elements from one row of logits to the next, >= V (padded vocabularies); default V
  out?: { logprobs?: V; entropy?: V };
}
export interface TokenLogprobs<V = Float32Array> {
  logprobs: V; // [N] natural logarithms
  entropy: V; // [N] nats
}
export interface TokenLogprobsBackwardOptions<A extends Logits = Logits> extends RunOptions {
  vocabSize: number;
  temperature?: number;
  rowStride?: number;
  dEntropy?: Beside<A>; // [N]
  out?: { dLogits?: A | Beside<A> }; // float32, or of the type of logits; may be logits itself
}
function logitsShape(logits: unknown, targets: unknown, o: { vocabSize: number; temperature?: number; rowStride?: number }) {
  const vocabSize = integerIn("vocabSize", o.vocabSize, 1, MAX_SIZE);
  const rowStride = integerIn("rowStride", o.rowStride ?? vocabSize, vocabSize, MAX_SIZE);
  const temperature = numberIn("temperature", o.temperature ?? 1, 1e-6, 1e6);
  const ids = targetsOf(targets, vocabSize);
  const values = matrix("logits", logits, ids.length * rowStride, `${ids.length} targets times ${rowStride}`);
  return { vocabSize, rowStride, temperature, ids, values };
}

function forwardCall<A extends Logits>(logits: A, targets: Indices, options: TokenLogprobsOptions<Beside<A>>): KernelCall<TokenLogprobs<Beside<A>>> {
  const o = kernelOptions(options, ["vocabSize", "temperature", "rowStride"]);
  const s = logitsShape(logits, targets, o);
  const out = optionsOf("out", o.out ?? {}, ["logprobs", "entropy"]);
  const n = s.ids.length;
  const result = { logprobs: output("logprobs", out.logprobs, n, logits), entropy: output("entropy", out.entropy, n, logits) };
  return {
    run: (addon, ...how) => addon.tokenLogprobs(result.logprobs, result.entropy, s.values, s.ids, s.vocabSize, s.rowStride, s.temperature, ...how),
    result: () => result,
    arrays: [s.values, s.ids, result.logprobs, result.entropy],
  };
}

/** The gradient by the logits: the caller's array, or a new one of their type. */
function gradientLike<A extends Logits>(logits: A, given: Logits | undefined): A | Beside<A> {
  if (given === undefined)
    return logits instanceof DeviceArray
      ? (new DeviceArray(logits.dtype, logits.shape, logits.device) as A)
      : (new (logits instanceof Uint16Array ? Uint16Array : Float32Array)(logits.length) as A);
  const values = matrix("out.dLogits", given, logits.length, "as logits");
  if (logits instanceof Float32Array && values instanceof Uint16Array) throw typeError("out.dLogits", "a Float32Array where logits is one", given);
  return values as Beside<A>;
}

function backwardCall<A extends Logits>(
  logits: A,
  targets: Indices,
  dLogprobs: Beside<A>,
  options: TokenLogprobsBackwardOptions<A>,
): KernelCall<{ dLogits: A | Beside<A> }> {
  const o = kernelOptions(options, ["vocabSize", "temperature", "rowStride", "dEntropy"]);
  const s = logitsShape(logits, targets, o);
  const n = s.ids.length;
  const incoming = float32("dLogprobs", dLogprobs, n, "one per target");
  const dEntropy = optionalFloat32("dEntropy", o.dEntropy, n, "one per target");
  const dLogits = gradientLike(logits, optionsOf("out", o.out ?? {}, ["dLogits"]).dLogits);
  return {
    run: (addon, ...how) => addon.tokenLogprobsBackward(dLogits, s.values, s.ids, incoming, dEntropy, s.vocabSize, s.rowStride, s.temperature, ...how),
    result: () => ({ dLogits }),
    arrays: [s.values, s.ids, incoming, dEntropy, dLogits],
  };
}

/**
 * logprobs[i] = log softmax(logits[i] / temperature)[targets[i]] and entropy[i] = -sum p log p, in one pass over logits [N, V].
 * logits are float32, or bfloat16 bits in a Uint16Array. A logit of -Inf has probability 0; a row holding NaN or +Inf gives NaN.
 * Reference: log_softmax and gather.
 * @throws TypeError, RangeError naming the argument
 */
export function tokenLogprobs<A extends Logits>(logits: A, targets: Indices, options: TokenLogprobsOptions<Beside<A>>): TokenLogprobs<Beside<A>> {
  return runNow(forwardCall<A>, logits, targets, options);
}
/** tokenLogprobs on the compute thread; looks at the signal every few milliseconds. */
export async function tokenLogprobsAsync<A extends Logits>(
  logits: A,
  targets: Indices,
  options: WithSignal<TokenLogprobsOptions<Beside<A>>>,
): Promise<TokenLogprobs<Beside<A>>> {
  return runLater(forwardCall<A>, logits, targets, options);
}

/**
 * Gradient of sum(dLogprobs * logprobs + dEntropy * entropy) by the logits [N, V]. A row whose incoming gradients are 0 gets
 * zeros whatever its logits hold; padding beyond V gets zeros. By bfloat16 logits it is bfloat16 (rounded once), or float32 when
 * out.dLogits is.
 */
export function tokenLogprobsBackward<A extends Logits>(
  logits: A,
  targets: Indices,
  dLogprobs: Beside<A>,
  options: TokenLogprobsBackwardOptions<A>,
): { dLogits: A | Beside<A> } {
  return runNow(backwardCall<A>, logits, targets, dLogprobs, options);
}
export async function tokenLogprobsBackwardAsync<A extends Logits>(
  logits: A,
  targets: Indices,
  dLogprobs: Beside<A>,
  options: WithSignal<TokenLogprobsBackwardOptions<A>>,
): Promise<{ dLogits: A | Beside<A> }> {
  return runLater(backwardCall<A>, logits, targets, dLogprobs, options);
}
