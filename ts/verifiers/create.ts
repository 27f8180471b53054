// Verifiers by name, for configurations and the command line.
import { rangeError } from "../errors.ts";
import { arithmeticVerifier } from "./arithmetic.ts";
import { verifierByAbility } from "./by_ability.ts";
import { type CodeVerifierOptions, codeVerifier } from "./code.ts";
import { type MathVerifierOptions, mathVerifier } from "./math.ts";
import type { Verifier } from "./types.ts";

export const VERIFIER_NAMES = ["arithmetic", "math", "code", "auto"] as const;
export type VerifierName = (typeof VERIFIER_NAMES)[number];

export interface CreateVerifierOptions {
  math?: MathVerifierOptions;
  code?: CodeVerifierOptions;
}

/**
 * "arithmetic": integers in \boxed{}. "math": mathematical answers (mathVerifier). "code": Python programs against tests (codeVerifier). "auto": "math" or
 * "code" as each item's `ability` says. Throws a RangeError for another name.
 */
export function createVerifier(name: VerifierName, options: CreateVerifierOptions = {}): Verifier {
  if (name === "arithmetic") return arithmeticVerifier;
  if (name === "math") return mathVerifier(options.math);
  if (name === "code") return codeVerifier(options.code);
  if (name === "auto") return verifierByAbility({ math: mathVerifier(options.math), code: codeVerifier(options.code) });
  throw rangeError("name", `one of ${VERIFIER_NAMES.join(", ")}`, name);
}
