// Step boundaries of a response: the last token of every line.
import type { Tokenizer } from "./tokenizer.ts";

const NEWLINE = 10;

/**
 * Positions [S], inside the response, of the last token of each line: tokens whose bytes hold a newline, and the response's last token.
 * Step k is what lies after position k-1 up to and including position k, so every token belongs to exactly one step.
 */
export function lineEnds(tokenizer: Tokenizer, response: ArrayLike<number> /* [T] */): Int32Array {
  const ends: number[] = [];
  for (let t = 0; t < response.length; t++) {
    if (t === response.length - 1 || tokenizer.tokenBytes(response[t]).includes(NEWLINE)) ends.push(t);
  }
  return Int32Array.from(ends);
}
