// One way of writing an answer, so that votes can be counted without comparing every pair.
import { cleanWords, isWords } from "./clean.ts";
import { exactValue } from "./exact.ts";
import { type Expression, writeExpression } from "./expression.ts";
import { MathLimit, NotMath, startWork } from "./limits.ts";
import { parseAnswer } from "./parse.ts";
import { toText } from "./rational.ts";

/**
 * The answer as its exact value where it has one (0.5, 1/2 and \frac{2}{4} are "1/2"), else as its formula written anew, else as its words. Equal
 * results are equal answers; equal answers of which one is only shown to be so by algebra keep two ways of writing, and two votes.
 */
export function canonicalAnswer(text: string): string {
  if (isWords(text)) return cleanWords(text);
  startWork();
  try {
    return write(parseAnswer(text));
  } catch (error) {
    if (error instanceof NotMath || error instanceof MathLimit) return cleanWords(text) || text.trim();
    throw error;
  }
}

// --- internal ---

function write(e: Expression): string {
  if (e.kind === "sequence") return `${e.open}${e.items.map(write).join(", ")}${e.close}`;
  const value = exactValue(e);
  return value ? toText(value) : writeExpression(e);
}
