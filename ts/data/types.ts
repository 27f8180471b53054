// What a task hands out. Every problem is a pure function of (seed, index), so order survives restarts without any state.

export interface Problem {
  id: string;
  /** The text the policy continues, chat template applied. */
  prompt: string;
  answer: string;
  /** Difficulty, from 1 up. */
  level: number;
  /** "math", "code", …: which verifier judges it, where a dataset mixes several. */
  ability?: string;
}

/** A worked demonstration for fine-tuning; the response stops before the end-of-text token. */
export interface Example extends Problem {
  response: string;
}

export interface ProblemSource {
  /** The problem at an index >= 0; the same for ever. */
  at(index: number): Problem;
}

export interface ExampleSource {
  at(index: number): Example;
}

/** One step of a response, judged on its own: given what the step starts from, is what it says right? */
export interface StepCheck {
  line: string; // with its newline, so that the lines joined are the response
  correct: boolean;
  reason: string; // a short phrase
}
