// Log-probability of the target token and entropy of its distribution, from logits or straight from hidden states.
import type { KernelExports, Matrix } from "../native/types.ts";
import { type KernelCall, runLater, runNow, type WithSignal } from "./call.ts";
import { flag, float32, integerIn, matrix, numberIn, optionalFloat32, optionsOf, output, targetsOf } from "./checks.ts";

export interface TokenLogprobsOptions {
  vocabSize: number; // V
  temperature?: number; // logits are divided by it; 1e-6..1e6, default 1
  rowStride?: number; // floats from one row of logits to the next, >= V (padded vocabularies); default V
  out?: { logprobs?: Float32Array; entropy?: Float32Array };
}
export interface TokenLogprobs {
  logprobs: Float32Array; // [N] natural logarithms
  entropy: Float32Array; // [N] nats
}
export interface TokenLogprobsBackwardOptions {
  vocabSize: number;
  temperature?: number;
  rowStride?: number;
  dEntropy?: Float32Array; // [N]
  out?: { dLogits?: Float32Array }; // may be logits itself
}
export interface LinearLogprobsOptions {
  vocabSize: number; // V
  hiddenSize: number; // C
  temperature?: number;
  out?: { logprobs?: Float32Array; entropy?: Float32Array; logSumExp?: Float32Array };
}
export interface LinearLogprobs extends TokenLogprobs {
  logSumExp: Float32Array; // [N] of logits / temperature; saves the backward a second forward
}
export interface LinearLogprobsBackwardOptions {
  vocabSize: number;
  hiddenSize: number;
  temperature?: number;
  dEntropy?: Float32Array; // [N]
  logSumExp?: Float32Array; // [N] of the forward; recomputed when absent
  entropy?: Float32Array; // [N] of the forward; needed with dEntropy, recomputed when absent
  accumulate?: boolean; // add to out.dWeight instead of overwriting it (micro-batches); default false
  out?: { dHidden?: Float32Array; dWeight?: Float32Array };
}

const MAX_SIZE = 2 ** 31 - 1;

function logitsShape(logits: unknown, targets: unknown, o: { vocabSize: number; temperature?: number; rowStride?: number }) {
  const vocabSize = integerIn("vocabSize", o.vocabSize, 1, MAX_SIZE);
  const rowStride = integerIn("rowStride", o.rowStride ?? vocabSize, vocabSize, MAX_SIZE);
  const temperature = numberIn("temperature", o.temperature ?? 1, 1e-6, 1e6);
  const ids = targetsOf(targets, vocabSize);
  const values = float32("logits", logits, ids.length * rowStride, `${ids.length} targets times ${rowStride}`);
  return { vocabSize, rowStride, temperature, ids, values };
}

function forwardCall(logits: Float32Array, targets: Int32Array, options: TokenLogprobsOptions): KernelCall<TokenLogprobs> {
  const o = optionsOf("options", options, ["vocabSize", "temperature", "rowStride", "out", "signal"]);
  const s = logitsShape(logits, targets, o);
  const out = optionsOf("out", o.out ?? {}, ["logprobs", "entropy"]);
  const result = { logprobs: output("logprobs", out.logprobs, s.ids.length), entropy: output("entropy", out.entropy, s.ids.length) };
  return {
    run: (addon, cancel) => addon.tokenLogprobs(result.logprobs, result.entropy, s.values, s.ids, s.vocabSize, s.rowStride, s.temperature, cancel),
    result: () => result,
    arrays: [s.values, s.ids, result.logprobs, result.entropy],
  };
}

function backwardCall(
  logits: Float32Array,
  targets: Int32Array,
  dLogprobs: Float32Array,
  options: TokenLogprobsBackwardOptions,
): KernelCall<{ dLogits: Float32Array }> {
  const o = optionsOf("options", options, ["vocabSize", "temperature", "rowStride", "dEntropy", "out", "signal"]);
  const s = logitsShape(logits, targets, o);
  const n = s.ids.length;
  const incoming = float32("dLogprobs", dLogprobs, n, "one per target");
  const dEntropy = optionalFloat32("dEntropy", o.dEntropy, n, "one per target");
  const dLogits = output("dLogits", optionsOf("out", o.out ?? {}, ["dLogits"]).dLogits, s.values.length);
  return {
    run: (addon, cancel) => addon.tokenLogprobsBackward(dLogits, s.values, s.ids, incoming, dEntropy, s.vocabSize, s.rowStride, s.temperature, cancel),
    result: () => ({ dLogits }),
    arrays: [s.values, s.ids, incoming, dEntropy, dLogits],
  };
}

function linearShape(hidden: unknown, weight: unknown, targets: unknown, o: { vocabSize: number; hiddenSize: number; temperature?: number }) {
  const vocabSize = integerIn("vocabSize", o.vocabSize, 1, MAX_SIZE);
  const hiddenSize = integerIn("hiddenSize", o.hiddenSize, 1, 2 ** 24);
  const temperature = numberIn("temperature", o.temperature ?? 1, 1e-6, 1e6);
  const ids = targetsOf(targets, vocabSize);
  const h = matrix("hidden", hidden, ids.length * hiddenSize, `${ids.length} targets times ${hiddenSize}`);
  const w = matrix("weight", weight, vocabSize * hiddenSize, `${vocabSize} times ${hiddenSize}`);
  if (h.constructor !== w.constructor) throw new TypeError(`weight must be a ${h.constructor.name} like hidden, but is a ${w.constructor.name}.`);
  return { vocabSize, hiddenSize, temperature, ids, h, w };
}

function linearForwardCall(hidden: Matrix, weight: Matrix, targets: Int32Array, options: LinearLogprobsOptions): KernelCall<LinearLogprobs> {
  const o = optionsOf("options", options, ["vocabSize", "hiddenSize", "temperature", "out", "signal"]);
  const s = linearShape(hidden, weight, targets, o);
  const out = optionsOf("out", o.out ?? {}, ["logprobs", "entropy", "logSumExp"]);
  const n = s.ids.length;
  const result = {
    logprobs: output("logprobs", out.logprobs, n),
    entropy: output("entropy", out.entropy, n),
    logSumExp: output("logSumExp", out.logSumExp, n),
  };
  return {
    run: (addon, cancel) =>
      addon.linearLogprobs(result.logprobs, result.entropy, result.logSumExp, s.h, s.w, s.ids, s.vocabSize, s.hiddenSize, s.temperature, cancel),
    result: () => result,
    arrays: [s.h, s.w, s.ids, result.logprobs, result.entropy, result.logSumExp],
  };
}

type LinearGradients = { dHidden: Float32Array; dWeight: Float32Array };

function linearBackwardCall(
  hidden: Matrix,
  weight: Matrix,
  targets: Int32Array,
  dLogprobs: Float32Array,
  options: LinearLogprobsBackwardOptions,
): KernelCall<LinearGradients> {
  const o = optionsOf("options", options, ["vocabSize", "hiddenSize", "temperature", "dEntropy", "logSumExp", "entropy", "accumulate", "out", "signal"]);
  const s = linearShape(hidden, weight, targets, o);
  const n = s.ids.length;
  const incoming = float32("dLogprobs", dLogprobs, n, "one per target");
  const dEntropy = optionalFloat32("dEntropy", o.dEntropy, n, "one per target");
  const given = {
    logSumExp: optionalFloat32("logSumExp", o.logSumExp, n, "one per target"),
    entropy: optionalFloat32("entropy", o.entropy, n, "one per target"),
  };
  const out = optionsOf("out", o.out ?? {}, ["dHidden", "dWeight"]);
  const accumulate = flag("accumulate", o.accumulate ?? false);
  const result = { dHidden: output("dHidden", out.dHidden, s.h.length), dWeight: output("dWeight", out.dWeight, s.w.length) };
  const known = given.logSumExp !== undefined && (dEntropy === undefined || given.entropy !== undefined);
  const lse = known ? (given.logSumExp as Float32Array) : new Float32Array(n);
  const entropy = known ? given.entropy : new Float32Array(n);
  const gradients = (addon: KernelExports, cancel?: Int32Array) => {
    if (!accumulate && out.dWeight) result.dWeight.fill(0);
    return addon.linearLogprobsBackward(
      result.dHidden,
      result.dWeight,
      s.h,
      s.w,
      s.ids,
      lse,
      entropy,
      incoming,
      dEntropy,
      s.vocabSize,
      s.hiddenSize,
      s.temperature,
      cancel,
    );
  };
  return {
    run: (addon, cancel) => {
      if (known) return gradients(addon, cancel);
      const forward = addon.linearLogprobs(new Float32Array(n), entropy, lse, s.h, s.w, s.ids, s.vocabSize, s.hiddenSize, s.temperature, cancel);
      return cancel ? (forward as Promise<void>).then(() => gradients(addon, cancel)) : gradients(addon);
    },
    result: () => result,
    arrays: [s.h, s.w, s.ids, incoming, dEntropy, lse, entropy, result.dHidden, result.dWeight],
  };
}

/**
 * logprobs[i] = log softmax(logits[i] / temperature)[targets[i]] and entropy[i] = -sum p log p, in one pass over logits [N, V].
 * A logit of -Inf has probability 0; a row holding NaN or +Inf gives NaN. Reference: log_softmax and gather.
 * @throws TypeError, RangeError naming the argument
 */
export function tokenLogprobs(logits: Float32Array, targets: Int32Array, options: TokenLogprobsOptions): TokenLogprobs {
  return runNow(forwardCall(logits, targets, options));
}
/** tokenLogprobs on the compute thread; looks at the signal every few milliseconds. */
export async function tokenLogprobsAsync(logits: Float32Array, targets: Int32Array, options: WithSignal<TokenLogprobsOptions>): Promise<TokenLogprobs> {
  return runLater(forwardCall(logits, targets, options), options.signal);
}

/**
 * Gradient of sum(dLogprobs * logprobs + dEntropy * entropy) by the logits [N, V]. A row whose incoming gradients are 0 gets
 * zeros whatever its logits hold; padding beyond V gets zeros.
 */
export function tokenLogprobsBackward(
  logits: Float32Array,
  targets: Int32Array,
  dLogprobs: Float32Array,
  options: TokenLogprobsBackwardOptions,
): { dLogits: Float32Array } {
  return runNow(backwardCall(logits, targets, dLogprobs, options));
}
export async function tokenLogprobsBackwardAsync(
  logits: Float32Array,
  targets: Int32Array,
  dLogprobs: Float32Array,
  options: WithSignal<TokenLogprobsBackwardOptions>,
): Promise<{ dLogits: Float32Array }> {
  return runLater(backwardCall(logits, targets, dLogprobs, options), options.signal);
}

/**
 * tokenLogprobs of logits = hidden [N, C] @ weight [V, C]^T, which are never held as a whole (32 MiB of scratch at most).
 * hidden and weight are float32, or bfloat16 bits in Uint16Arrays.
 */
export function linearLogprobs(hidden: Matrix, weight: Matrix, targets: Int32Array, options: LinearLogprobsOptions): LinearLogprobs {
  return runNow(linearForwardCall(hidden, weight, targets, options));
}
export async function linearLogprobsAsync(
  hidden: Matrix,
  weight: Matrix,
  targets: Int32Array,
  options: WithSignal<LinearLogprobsOptions>,
): Promise<LinearLogprobs> {
  return runLater(linearForwardCall(hidden, weight, targets, options), options.signal);
}

/** Gradients of sum(dLogprobs * logprobs + dEntropy * entropy) by hidden [N, C] and weight [V, C]; the logits are recomputed in chunks. */
export function linearLogprobsBackward(
  hidden: Matrix,
  weight: Matrix,
  targets: Int32Array,
  dLogprobs: Float32Array,
  options: LinearLogprobsBackwardOptions,
): LinearGradients {
  return runNow(linearBackwardCall(hidden, weight, targets, dLogprobs, options));
}
export async function linearLogprobsBackwardAsync(
  hidden: Matrix,
  weight: Matrix,
  targets: Int32Array,
  dLogprobs: Float32Array,
  options: WithSignal<LinearLogprobsBackwardOptions>,
): Promise<LinearGradients> {
  return runLater(linearBackwardCall(hidden, weight, targets, dLogprobs, options), options.signal);
}
