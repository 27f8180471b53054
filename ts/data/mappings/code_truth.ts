// The reference "answer" of a code problem: its tests, as JSON. See the code verifier for how they are run.

/** Programs tested by what they print for an input, or, with fn_name, by what a function returns. */
export interface InputOutputTests {
  inputs: unknown[];
  outputs: unknown[];
  fn_name?: string;
}

/** Programs tested by Python snippets that raise when the solution is wrong. */
export interface AssertTests {
  tests: string[];
  /** Run before the solution. */
  setup?: string;
  /** Put before the solution where the response does not define `entry_point` itself. */
  prefix?: string;
  entry_point?: string;
}

export function codeTruth(tests: InputOutputTests | AssertTests): string {
  return JSON.stringify(tests);
}
