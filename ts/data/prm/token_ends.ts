// Where each token of a text ends, in characters (UTF-16 units).

import { PrimekitError } from "../../errors.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";

/** Token ids [T] of a text and the character position [T] behind each. Tokens that share a character all end behind it. */
export function tokenEnds(tokenizer: Tokenizer, text: string): { ids: Int32Array; ends: Int32Array } {
  const ids = tokenizer.encode(text);
  const bytes = new TextEncoder().encode(text);
  const endOf = characterEnds(text, bytes.length);
  let byte = 0;
  const ends = Int32Array.from(ids, (id) => {
    const piece = tokenizer.tokenBytes(id);
    if (!piece.every((value, i) => bytes[byte + i] === value)) throw new PrimekitError("ERR_TOKENIZER", "The tokens of the text do not spell it.");
    byte += piece.length;
    return byte === 0 ? 0 : endOf[byte - 1];
  });
  return { ids, ends };
}

// --- internal ---

/** For every byte of the text the position behind its character. */
function characterEnds(text: string, bytes: number): Int32Array {
  const ends = new Int32Array(bytes);
  let byte = 0;
  let end = 0;
  for (const character of text) {
    end += character.length;
    const code = character.codePointAt(0) as number;
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    ends.fill(end, byte, byte + size);
    byte += size;
  }
  return ends;
}
