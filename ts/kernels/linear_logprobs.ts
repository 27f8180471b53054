// Log-probability of the target token and entropy straight from hidden states: the logits are never held.
import type { KernelExports } from "../native/types.ts";
import { type How, type KernelCall, type RunOptions, runLater, runNow, type WithSignal } from "./call.ts";
import {
  type Beside,
  flag,
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
import type { TokenLogprobs } from "./token_logprobs.ts";

export interface LinearLogprobsOptions<V = Float32Array> extends RunOptions {
  vocabSize: number; // V
  hiddenSize: number; // C
  temperature?: number;
  out?: { logprobs?: V; entropy?: V; logSumExp?: V };
}
export interface LinearLogprobs<V = Float32Array> extends TokenLogprobs<V> {
  logSumExp: V; // [N] of logits / temperature; saves the backward a second forward
}
export interface LinearLogprobsBackwardOptions<V = Float32Array> extends RunOptions {
  vocabSize: number;
  hiddenSize: number;
  temperature?: number;
  dEntropy?: V; // [N]
  logSumExp?: V; // [N] of the forward; recomputed when absent
  entropy?: V; // [N] of the forward; needed with dEntropy, recomputed when absent
  accumulate?: boolean; // add to out.dWeight instead of overwriting it (micro-batches); default false
  out?: { dHidden?: V; dWeight?: V };
}

function linearShape(hidden: unknown, weight: unknown, targets: unknown, o: { vocabSize: number; hiddenSize: number; temperature?: number }) {
  const vocabSize = integerIn("vocabSize", o.vocabSize, 1, MAX_SIZE);
  const hiddenSize = integerIn("hiddenSize", o.hiddenSize, 1, 2 ** 24);
  const temperature = numberIn("temperature", o.temperature ?? 1, 1e-6, 1e6);
  const ids = targetsOf(targets, vocabSize);
  const h = matrix("hidden", hidden, ids.length * hiddenSize, `${ids.length} targets times ${hiddenSize}`);
  const w = matrix("weight", weight, vocabSize * hiddenSize, `${vocabSize} times ${hiddenSize}`);
  const type = (array: Logits) => (array instanceof DeviceArray ? `DeviceArray of ${array.dtype}` : array.constructor.name);
  if (type(h) !== type(w)) throw new TypeError(`weight must be a ${type(h)} like hidden, but is a ${type(w)}.`);
  return { vocabSize, hiddenSize, temperature, ids, h, w };
}

function linearForwardCall<A extends Logits>(
  hidden: A,
  weight: A,
  targets: Indices,
  options: LinearLogprobsOptions<Beside<A>>,
): KernelCall<LinearLogprobs<Beside<A>>> {
  const o = kernelOptions(options, ["vocabSize", "hiddenSize", "temperature"]);
  const s = linearShape(hidden, weight, targets, o);
  const out = optionsOf("out", o.out ?? {}, ["logprobs", "entropy", "logSumExp"]);
  const n = s.ids.length;
  const result = {
    logprobs: output("logprobs", out.logprobs, n, hidden),
    entropy: output("entropy", out.entropy, n, hidden),
    logSumExp: output("logSumExp", out.logSumExp, n, hidden),
  };
  return {
    run: (addon, ...how) =>
      addon.linearLogprobs(result.logprobs, result.entropy, result.logSumExp, s.h, s.w, s.ids, s.vocabSize, s.hiddenSize, s.temperature, ...how),
    result: () => result,
    arrays: [s.h, s.w, s.ids, result.logprobs, result.entropy, result.logSumExp],
  };
}

type LinearGradients<V> = { dHidden: V; dWeight: V };

function linearBackwardCall<A extends Logits>(
  hidden: A,
  weight: A,
  targets: Indices,
  dLogprobs: Beside<A>,
  options: LinearLogprobsBackwardOptions<Beside<A>>,
): KernelCall<LinearGradients<Beside<A>>> {
  const o = kernelOptions(options, ["vocabSize", "hiddenSize", "temperature", "dEntropy", "logSumExp", "entropy", "accumulate"]);
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
  const result = { dHidden: output("dHidden", out.dHidden, s.h.length, hidden), dWeight: output("dWeight", out.dWeight, s.w.length, hidden) };
  const known = given.logSumExp !== undefined && (dEntropy === undefined || given.entropy !== undefined);
  const again = () => output("logSumExp", undefined, n, hidden);
  const [lse, entropy, logprobs] = known ? [given.logSumExp as Beside<A>, given.entropy, undefined] : [again(), again(), again()];
  const sizes = [s.vocabSize, s.hiddenSize, s.temperature] as const;
  const gradients = (addon: KernelExports, ...how: How) =>
    addon.linearLogprobsBackward(result.dHidden, result.dWeight, s.h, s.w, s.ids, lse, entropy, incoming, dEntropy, ...sizes, accumulate, ...how);
  return {
    run: (addon, ...how) => {
      if (!logprobs) return gradients(addon, ...how);
      const forward = addon.linearLogprobs(logprobs, entropy, lse, s.h, s.w, s.ids, ...sizes, ...how);
      return how[0] ? (forward as Promise<void>).then(() => gradients(addon, ...how)) : gradients(addon, ...how);
    },
    result: () => result,
    arrays: [s.h, s.w, s.ids, incoming, dEntropy, lse, entropy, result.dHidden, result.dWeight],
    temporaries: logprobs ? [lse, entropy, logprobs] : [],
  };
}

/**
 * tokenLogprobs of logits = hidden [N, C] @ weight [V, C]^T, which are never held as a whole (32 MiB of scratch at most).
 * hidden and weight are float32, or bfloat16 bits in Uint16Arrays.
 */
export function linearLogprobs<A extends Logits>(hidden: A, weight: A, targets: Indices, options: LinearLogprobsOptions<Beside<A>>): LinearLogprobs<Beside<A>> {
  return runNow(linearForwardCall<A>, hidden, weight, targets, options);
}
export async function linearLogprobsAsync<A extends Logits>(
  hidden: A,
  weight: A,
  targets: Indices,
  options: WithSignal<LinearLogprobsOptions<Beside<A>>>,
): Promise<LinearLogprobs<Beside<A>>> {
  return runLater(linearForwardCall<A>, hidden, weight, targets, options);
}

/** Gradients of sum(dLogprobs * logprobs + dEntropy * entropy) by hidden [N, C] and weight [V, C]; the logits are recomputed in chunks. */
export function linearLogprobsBackward<A extends Logits>(
  hidden: A,
  weight: A,
  targets: Indices,
  dLogprobs: Beside<A>,
  options: LinearLogprobsBackwardOptions<Beside<A>>,
): LinearGradients<Beside<A>> {
  return runNow(linearBackwardCall<A>, hidden, weight, targets, dLogprobs, options);
}
export async function linearLogprobsBackwardAsync<A extends Logits>(
  hidden: A,
  weight: A,
  targets: Indices,
  dLogprobs: Beside<A>,
  options: WithSignal<LinearLogprobsBackwardOptions<Beside<A>>>,
): Promise<LinearGradients<Beside<A>>> {
  return runLater(linearBackwardCall<A>, hidden, weight, targets, dLogprobs, options);
}
