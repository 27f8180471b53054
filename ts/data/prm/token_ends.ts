// Where each token of a text ends, in characters (UTF-16 units).

import type { Tokenizer } from "../../tokenizer/tokenizer.ts";

/** Token ids [T] of a text and the character position [T] behind each. Tokens that share a character all end behind it. */
export function tokenEnds(tokenizer: Pick<Tokenizer, "encodeWithOffsets">, text: string): { ids: Int32Array; ends: Int32Array } {
  const { ids, offsets } = tokenizer.encodeWithOffsets(text);
  const ends = new Int32Array(ids.length);
  let end = text.length;
  for (let t = ids.length - 1; t >= 0; t--) {
    if (t + 1 < ids.length && offsets[t + 1] > offsets[t]) end = offsets[t + 1];
    ends[t] = end;
  }
  return { ids, ends };
}
