// What the parent and the sandbox's child say to each other.

export type Request =
  /** Loads a solution into a fresh interpreter. Reply: {} or { error }. */
  | { kind: "load"; code: string }
  /** Calls a function of the solution loaded before. Reply: { value } or { error }. */
  | { kind: "call"; entry: string; args: Wire[]; limit: number }
  /** Runs a solution as a program in a fresh interpreter. Reply: {} or { error }, and the output. */
  | { kind: "main"; code: string; stdin: string; limit: number }
  /** Makes the interpreter of the tests ready, where it is not yet. Reply: nothing. */
  | { kind: "tests" }
  /** Runs test snippets against a solution, the two in different fresh interpreters. Reply: { results: (null | failure)[], stopped? } or { error }. */
  | { kind: "assert"; code: string; tests: string[]; setup?: string; prefix?: string; entry?: string; first: boolean };

export interface Reply {
  reply?: string; // JSON, written by the interpreter: to be judged with suspicion
  output?: string; // standard output
  stopped?: string; // a sentence: the program was ended, or ended itself
  worn: boolean; // the child is to be replaced
}

/** A Python value as the harness writes it: null, booleans, strings and small integers as themselves, all else as [tag, …]. */
export type Wire = null | boolean | string | number | [tag: string, ...rest: unknown[]];
