// StreamDecoder: text of tokens as they come, one at a time. A character that spreads over several tokens appears with its last one.
import type { Tokenizer } from "./tokenizer.ts";

/**
 * What push() and end() return, joined, is `tokenizer.decode(ids, options)`; no returned piece ends within a character.
 * Bytes that are no UTF-8 become U+FFFD, one for each maximal broken piece.
 */
export class StreamDecoder {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecialTokens: boolean;
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  #leading: boolean; // the first space is one that the tokenizer puts before every text

  constructor(tokenizer: Tokenizer, options: { skipSpecialTokens?: boolean } = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = options.skipSpecialTokens ?? false;
    this.#leading = tokenizer.addsLeadingSpace;
  }

  /** The characters that the next token completes; often none, sometimes several. */
  push(id: number): string {
    if (this.#skipSpecialTokens && this.#tokenizer.isSpecial(id)) return "";
    return this.#trim(this.#utf8.decode(this.#tokenizer.textBytes(id), { stream: true }));
  }

  /** What is left when no more tokens come: U+FFFD for a character cut short, else nothing. */
  end(): string {
    return this.#trim(this.#utf8.decode());
  }

  // --- internal ---

  #trim(text: string): string {
    if (text === "" || !this.#leading) return text;
    this.#leading = false;
    return text.startsWith(" ") ? text.slice(1) : text;
  }
}
