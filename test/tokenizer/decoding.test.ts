// Decoding: what the reference makes of ids, whole and token by token.
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { StreamDecoder } from "../../ts/tokenizer/stream.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";
import { Random } from "../support/random.ts";

setDefaultTimeout(60_000);
const root = join(import.meta.dir, "..", "..");
const shared = join(root, "..", "shared");
const shelf = { qwen2_5: join(shared, "tokenizers", "qwen2_5"), stories260K: join(shared, "models", "stories260K", "hf-qwen2") };

/** The pieces a stream of tokens gives, end included. */
function streamed(tokenizer: Tokenizer, ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string[] {
  const decoder = new StreamDecoder(tokenizer, options);
  return [...Array.from(ids, (id) => decoder.push(id)), decoder.end()];
}

/** Whether a run of byte tokens is no UTF-8: there the reference writes one U+FFFD for each byte of the run, its whole characters included. */
function hasBrokenRun(tokenizer: Tokenizer, ids: readonly number[], name: string): boolean {
  return name === "stories260K" && tokenizer.decode(ids).includes("\uFFFD");
}

for (const [name, dir] of Object.entries(shelf)) {
  if (!existsSync(dir)) console.log(`skipped: decoding with ${name}, because ${dir} is absent.`);
  test.skipIf(!existsSync(dir))(`${name}: texts equal the reference's, whole and streamed`, async () => {
    const tokenizer = await Tokenizer.load(dir);
    const file = join(root, "test", "fixtures", "tokenizers", `${name}_decoding.jsonl.gz`);
    const rows: [number[], string, string][] = gunzipSync(readFileSync(file))
      .toString()
      .trimEnd()
      .split("\n")
      .slice(1)
      .map((row) => JSON.parse(row));
    let broken = 0;
    for (const [ids, text, withoutSpecial] of rows) {
      for (const skipSpecialTokens of [false, true]) {
        const whole = tokenizer.decode(ids, { skipSpecialTokens });
        const pieces = streamed(tokenizer, ids, { skipSpecialTokens });
        expect(pieces.join("")).toBe(whole);
        expect(pieces.some((piece) => /\p{Cs}/u.test(piece))).toBe(false);
        if (hasBrokenRun(tokenizer, ids, name)) broken++;
        else expect(whole).toBe(skipSpecialTokens ? withoutSpecial : text);
      }
    }
    expect(broken).toBeLessThan(1.5 * rows.length); // of two checks a row; random bytes are seldom UTF-8
  });
}

test("streaming: any bytes, any cut, the same text; pieces end at characters", () => {
  const tokenizer = byteTokenizer();
  const random = new Random(5);
  const texts = ["naïve 数学 🙂", "👨‍👩‍👧‍👦🏴‍☠️", "\uFEFFa\uFEFF", "\u0000\r\n", "e\u0301가"];
  for (let round = 0; round < 2000; round++) {
    const bytes = Array.from(new TextEncoder().encode(texts[random.integer(0, texts.length)]));
    for (let k = random.integer(0, 3); k > 0; k--) bytes.splice(random.integer(0, bytes.length), 1, random.integer(0, 256)); // often no UTF-8 any more
    const expected = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
    const pieces = streamed(tokenizer, bytes);
    expect(pieces.join("")).toBe(expected);
    expect(pieces.some((piece) => /\p{Cs}/u.test(piece))).toBe(false);
  }
});

test("streaming: special tokens are left out, ids without a token read as U+FFFD", () => {
  const tokenizer = Tokenizer.fromJson(arithmeticTokenizerJson(), arithmeticTokenizerConfig());
  const ids = [...tokenizer.encode("1+1<|im_end|>"), 60, ...tokenizer.encode("2")];
  expect(streamed(tokenizer, ids).join("")).toBe("1+1<|im_end|>\uFFFD2");
  expect(streamed(tokenizer, ids, { skipSpecialTokens: true })).toEqual(["1", "+", "1", "", "\uFFFD", "2", ""]);
  expect(() => new StreamDecoder(tokenizer).push(-1)).toThrow(RangeError);
});

/** A byte-level tokenizer whose token n is the byte n. */
function byteTokenizer(): Tokenizer {
  const letter = (byte: number, next: { n: number }) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae ? String.fromCharCode(byte) : String.fromCharCode(next.n++);
  const next = { n: 0x100 };
  const vocab = Object.fromEntries([...Array.from({ length: 256 }, (_, byte) => [letter(byte, next), byte]), ["<end>", 256]]);
  const bytes = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  const json = { added_tokens: [{ id: 256, content: "<end>", special: true }], normalizer: null, post_processor: null, pre_tokenizer: bytes, decoder: bytes };
  return Tokenizer.fromJson({ ...json, model: { type: "BPE", vocab, merges: [] } }, { eos_token: "<end>" });
}
