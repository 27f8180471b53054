// Where tokens begin in the text: against the reference where it says so, by properties elsewhere.
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";

setDefaultTimeout(60_000);
const root = join(import.meta.dir, "..", "..");
const fixtures = join(root, "test", "fixtures", "tokenizers");
const qwenDir = join(root, "..", "shared", "tokenizers", "qwen2_5");
const storiesDir = join(root, "..", "shared", "models", "stories260K", "hf-qwen2");
const here = existsSync(qwenDir) && existsSync(storiesDir);
if (!here) console.log(`skipped: offsets of Qwen2.5's and SentencePiece-style tokens, because ${qwenDir} or ${storiesDir} is absent.`);
const loaded = here ? { qwen: await Tokenizer.load(qwenDir), stories: await Tokenizer.load(storiesDir) } : undefined;

const lines = <T>(name: string): T[] =>
  gunzipSync(readFileSync(join(fixtures, `${name}.jsonl.gz`)))
    .toString()
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((row) => JSON.parse(row));

test("byte-level tokens begin where their text does", () => {
  const tokenizer = Tokenizer.fromJson(arithmeticTokenizerJson(), arithmeticTokenizerConfig());
  const text = "<|im_start|>user\n47+85<|im_end|>\n[ADVANCE] 47+85=132\n";
  const { ids, offsets } = tokenizer.encodeWithOffsets(text);
  expect(ids).toEqual(tokenizer.encode(text));
  expect(Array.from(ids, (_, t) => text.slice(offsets[t], offsets[t + 1] ?? text.length))).toEqual(Array.from(ids, (id) => tokenizer.decode([id])));
  expect(tokenizer.encodeWithOffsets("")).toEqual({ ids: new Int32Array(0), offsets: new Int32Array(0) });
  expect(() => tokenizer.encodeWithOffsets("1?é")).toThrow("the tokens, put together, are not the text"); // <unk> stands for anything
});

test.skipIf(!here)("Qwen2.5: starts equal the reference's", () => {
  const different = lines<[string, number[]]>("qwen2_5_offsets").filter(([text, starts]) => {
    const units = Array.from(text.matchAll(/./gsu), ({ index }) => index); // code points -> UTF-16
    return Array.from(loaded?.qwen.encodeWithOffsets(text).offsets ?? []).join() !== starts.map((start) => units[start]).join();
  });
  expect(different).toEqual([]);
});

test.skipIf(!here)("any text, normalised or not: starts ascend from 0, and cutting the text there cuts the tokens", () => {
  for (const [name, tokenizer] of Object.entries(loaded ?? {})) {
    for (const [text, expected] of lines<[string, number[]]>(name === "qwen" ? "qwen2_5" : "stories260K")) {
      if (text.length > 5000) continue;
      const { ids, offsets } = tokenizer.encodeWithOffsets(text);
      expect(Array.from(ids)).toEqual(expected);
      expect(offsets.every((offset, t) => offset >= (offsets[t - 1] ?? 0) && offset < text.length)).toBe(true);
      if (name !== "qwen") continue;
      const cut = ids.length >> 1; // the text up to where token `cut` begins is the text of the tokens before it
      if (ids.length < 2 || offsets[cut] === offsets[cut - 1] || !wholeCharacters(tokenizer, ids.subarray(0, cut))) continue;
      const before = tokenizer.decode(ids.subarray(0, cut));
      const upTo = text.slice(0, offsets[cut]).normalize("NFC");
      if (text === text.normalize("NFC")) expect(upTo).toBe(before);
      else expect(before.startsWith(upTo) && before.length - upTo.length < 4).toBe(true); // less where it lies within what normalisation changed
    }
  }
});

test.skipIf(!here)("decomposed accents, Hangul letters, a space in front, half a surrogate pair", () => {
  const { qwen, stories } = loaded as NonNullable<typeof loaded>;
  const starts = (tokenizer: Tokenizer, text: string) => Array.from(tokenizer.encodeWithOffsets(text).offsets);
  const composed = "café 각 x";
  const apart = composed.normalize("NFD");
  expect(apart.length).toBe(composed.length + 3);
  expect(starts(qwen, composed).map((start) => apart.length - composed.slice(start).normalize("NFD").length)).toEqual(starts(qwen, apart));
  expect(starts(stories, "Once upon")).toEqual([0, 4]); // "▁Once" and "▁upon"
  expect(starts(qwen, "a\uD83D b")).toHaveLength(qwen.encode("a\uFFFD b").length);
});

/** Whether the tokens end at the end of a character, so that their text says which bytes they are. */
function wholeCharacters(tokenizer: Tokenizer, ids: Int32Array): boolean {
  const bytes = Array.from(ids).flatMap((id) => Array.from(tokenizer.tokenBytes(id)));
  return Buffer.from(tokenizer.decode(ids)).equals(Buffer.from(bytes));
}
