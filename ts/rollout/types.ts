// The data that flows through a training step: a prompt's group of sampled, verified answers, and the packed rows made of them.

import type { Problem } from "../data/types.ts";
import type { Verdict } from "../verifiers/types.ts";

/** One sampled answer. `tokens` and `logprobs` are [T] and end with the stop token when one ended it. */
export interface Sample {
  tokens: Int32Array; // [T]
  logprobs: Float32Array; // [T] of the sampling policy, at the sampling temperature
  text: string; // decoded without special tokens: what the verifier saw
  truncated: boolean; // the length limit ended it
  verdict: Verdict;
}

/** All G samples of one prompt, drawn from one policy version. */
export interface Group {
  position: number; // index into the task's training source
  problem: Problem;
  prompt: Int32Array; // token ids
  samples: Sample[]; // [G]
  accuracy: number; // mean score of the samples
  decided: boolean; // false when the verifier reached no judgement on a sample (error, time-out of the judging): its label is unknown, so the group is not trained on
}

/** One sequence of an update: context tokens, then the tokens that are scored. */
export interface Row {
  prompt: Int32Array;
  response: Int32Array;
}

/** Runs `work` and books its time under `phase`. */
export type Timer = <T>(phase: string, work: () => Promise<T>) => Promise<T>;

export const untimed: Timer = (_phase, work) => work();
