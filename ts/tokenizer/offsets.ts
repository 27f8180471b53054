// Where each token begins in a text, in UTF-16 units, found from the tokens' bytes.
import { PrimekitError } from "../errors.ts";

/** What of a tokenizer this needs. */
export interface OffsetSource {
  normalize(text: string): string;
  tokenBytes(id: number): Uint8Array;
  /** The text of an added token, which stands in the text as it is. */
  addedText(id: number): string | undefined;
}

/**
 * Start [T] of each of a text's tokens in it. A token that begins within a character starts where that character does; so does one whose
 * characters the normaliser put together from several (or reordered). A space that the tokenizer put in front has no width.
 * Throws ERR_TOKENIZER when the tokens are not those of the text.
 */
export function tokenOffsets(text: string, ids: ArrayLike<number> /* [T] */, source: OffsetSource): Int32Array /* [T] */ {
  const offsets = new Int32Array(ids.length);
  let at = 0;
  for (let t = 0; t < ids.length; ) {
    const added = source.addedText(ids[t]);
    if (added !== undefined) {
      offsets[t++] = at;
      at += added.length;
      continue;
    }
    let end = t;
    while (end < ids.length && source.addedText(ids[end]) === undefined) end++;
    const next = end === ids.length ? text.length : text.indexOf(source.addedText(ids[end]) as string, at);
    if (next < 0) throw notOfThisText();
    fillStretch(offsets, t, end, text.slice(at, next), at, ids, source);
    at = next;
    t = end;
  }
  return offsets;
}

// --- internal ---

/** Offsets of tokens t … end-1, which are those of `stretch`; it begins at `base` in the text. */
function fillStretch(offsets: Int32Array, t: number, end: number, stretch: string, base: number, ids: ArrayLike<number>, source: OffsetSource): void {
  const pieces = Array.from({ length: end - t }, (_, i) => source.tokenBytes(ids[t + i]));
  const said = utf8(pieces); // the stretch as the tokens have it
  const origin = originalPositions(stretch, said, source);
  const starts = characterStarts(said);
  let byte = 0;
  pieces.forEach((piece, i) => {
    offsets[t + i] = base + origin(starts[byte]);
    byte += piece.length;
  });
}

function utf8(pieces: readonly Uint8Array[]): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    return pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
  } catch (cause) {
    throw notOfThisText(cause);
  }
}

/** For every byte of the text in UTF-8, where its character starts in UTF-16. */
function characterStarts(text: string): Int32Array {
  const starts: number[] = [];
  for (let i = 0; i < text.length; ) {
    const code = text.codePointAt(i) as number;
    for (let k = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4; k > 0; k--) starts.push(i);
    i += code < 0x10000 ? 1 : 2;
  }
  return Int32Array.from(starts);
}

/** Maps a position in the text as the tokens have it to one in the text itself. */
function originalPositions(text: string, said: string, source: OffsetSource): (position: number) => number {
  if (said === text) return (position) => position;
  const spaced = text.replaceAll("\u2581", " "); // SentencePiece knows no difference
  if (said === spaced) return (position) => position;
  if (said === ` ${spaced}`) return (position) => Math.max(0, position - 1);
  if (said !== source.normalize(text)) throw notOfThisText();
  const original = new Int32Array(said.length);
  let [from, to] = [0, 0];
  for (const piece of independentPieces(text, source)) {
    const normal = source.normalize(piece);
    // a piece that stays as it is is mapped letter by letter, a changed one as a whole
    for (let k = 0; k < normal.length; k++) original[to + k] = normal === piece ? from + k : from;
    from += piece.length;
    to += normal.length;
  }
  if (to !== said.length) throw notOfThisText();
  return (position) => original[position];
}

/** Pieces that are normalised independently: a base with its marks, and neighbours that combine (Hangul, a few Indic vowels). */
function independentPieces(text: string, { normalize }: OffsetSource): string[] {
  const pieces: string[] = [];
  for (const cluster of text.match(/\P{M}\p{M}*|\p{M}+/gsu) ?? []) {
    const last = pieces.at(-1);
    if (last !== undefined && normalize(last + cluster) !== normalize(last) + normalize(cluster)) pieces[pieces.length - 1] = last + cluster;
    else pieces.push(cluster);
  }
  return pieces;
}

function notOfThisText(cause?: unknown): PrimekitError {
  return new PrimekitError(
    "ERR_TOKENIZER",
    "Where the tokens of the text begin cannot be told: the tokens, put together, are not the text that was encoded; the tokenizer may lack some of its characters.",
    { cause },
  );
}
