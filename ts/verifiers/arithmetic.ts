// Verifier of integer answers: the last \boxed{…} must be exactly the reference integer.
import { PrimekitError } from "../errors.ts";
import { lastBoxed } from "./boxed.ts";
import type { Item, Verdict, Verifier } from "./types.ts";

const INTEGER = /^[+-]?\d{1,1000}$/;

/** The built-in task's: the last \boxed{} must hold the reference answer's integer. */
export const arithmeticVerifier: Verifier = {
  name: "arithmetic",
  async verify(items, options = {}) {
    if (options.signal?.aborted) throw new PrimekitError("ERR_ABORTED", "The verification was aborted.", { cause: options.signal.reason });
    return items.map(judge);
  },
};

// --- internal ---

function judge({ response, answer }: Item): Verdict {
  const expected = answer.trim();
  if (!INTEGER.test(expected))
    return { score: 0, outcome: "error", extracted: undefined, reason: `The reference answer ${JSON.stringify(answer)} is not an integer.` };
  const boxed = lastBoxed(response);
  if (boxed === undefined) return wrong(undefined, "The response has no complete \\boxed{} answer.");
  const extracted = boxed.trim();
  if (!INTEGER.test(extracted)) return wrong(extracted, "The boxed answer is not an integer.");
  if (BigInt(extracted) !== BigInt(expected)) return wrong(extracted, `The boxed answer is not ${expected}.`);
  return { score: 1, outcome: "correct", extracted, reason: "The boxed answer equals the reference." };
}

function wrong(extracted: string | undefined, reason: string): Verdict {
  return { score: 0, outcome: "wrong", extracted, reason };
}
