// A task: everything a trainer needs to know about what is being learned. Write one of these to train on something else.
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Verifier } from "../verifiers/types.ts";
import type { ExampleSource, Problem, ProblemSource, StepCheck } from "./types.ts";

export interface Task {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly demonstrations: ExampleSource; // for fine-tuning
  readonly train: ProblemSource; // for reinforcement
  readonly heldOut: readonly Problem[]; // for evaluation; shares no problem with the other two
  readonly verifier: Verifier;
  /** Judges each step of a response, where the task can; only ever used to show, never to train. */
  checkSteps?(problem: Problem, response: string): StepCheck[];
}
