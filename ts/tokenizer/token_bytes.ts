// The bytes each token stands for, for stop strings and for streaming: byte-level, byte-fallback and plain vocabularies.
import type { TokenizerJson } from "./supported.ts";

/** Bytes of every token [V]; holes in the vocabulary are empty. Added tokens stand for their own text. */
export function tokenBytesTable(json: TokenizerJson, tokens: readonly (string | undefined)[]): Uint8Array[] {
  const added = new Set((json.added_tokens ?? []).map((token) => token.id));
  const toBytes = usesByteLevel(json) ? byteLevelBytes() : fallbackBytes;
  const encoder = new TextEncoder();
  return Array.from(tokens, (token, id) => {
    if (token === undefined) return new Uint8Array(0);
    return added.has(id) ? encoder.encode(token) : toBytes(token);
  });
}

// --- internal ---

/** Whether any decoder or pre-tokenizer stage is ByteLevel (GPT-2, Qwen, Llama 3). */
function usesByteLevel(json: TokenizerJson): boolean {
  return JSON.stringify([json.decoder, json.pre_tokenizer]).includes('"ByteLevel"');
}

/** SentencePiece style: "▁" is a space, "<0x0A>" a byte. */
function fallbackBytes(token: string): Uint8Array {
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
  return byte ? Uint8Array.of(Number.parseInt(byte[1], 16)) : new TextEncoder().encode(token.replaceAll("\u2581", " "));
}

/** GPT-2's table: printable Latin-1 bytes stand for themselves, the other 68 for U+0100 and up, in order. */
function byteLevelBytes(): (token: string) => Uint8Array {
  const byteOf = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    byteOf.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  const encoder = new TextEncoder();
  return (token) => {
    const bytes = Array.from(token, (character) => byteOf.get(character));
    return bytes.includes(undefined) ? encoder.encode(token) : Uint8Array.from(bytes as number[]);
  };
}
