import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";

const root = join(import.meta.dir, "..", "..");
const small = () => Tokenizer.fromJson(arithmeticTokenizerJson(), arithmeticTokenizerConfig());
const utf8 = new TextDecoder();

async function inFolder(run: (dir: string) => Promise<void>) {
  const dir = await mkdtemp(join(tmpdir(), "primekit-tokenizer-"));
  await run(dir).finally(() => rm(dir, { recursive: true }));
}

test("the committed tokenizer files are what the functions make", async () => {
  const folder = join(root, "ts", "data", "arithmetic_tokenizer");
  expect(JSON.parse(await readFile(join(folder, "tokenizer.json"), "utf8"))).toEqual(arithmeticTokenizerJson());
  expect(JSON.parse(await readFile(join(folder, "tokenizer_config.json"), "utf8"))).toEqual(arithmeticTokenizerConfig());
});

test("every tag, digit, role and mark is one token", () => {
  const tokenizer = small();
  expect(tokenizer.vocabSize).toBeLessThanOrEqual(64);
  for (const text of [
    "[ADVANCE] ",
    "[OUTPUT] ",
    "[VERIFY] ",
    "\\boxed{",
    "}",
    "7",
    "+",
    "-",
    "*",
    "=",
    "\n",
    "<|im_start|>",
    "<|im_end|>",
    "user",
    "assistant",
    "system",
  ]) {
    expect(Array.from(tokenizer.encode(text))).toHaveLength(1);
  }
  expect(tokenizer.encode("[ADVANCE] 47+85=132\n")).toHaveLength(11);
  expect(tokenizer.eosId).toBe(tokenizer.idOf("<|im_end|>"));
  expect(tokenizer.padId).toBe(tokenizer.idOf("<|endoftext|>"));
});

test("decode undoes encode, empty texts included; unknown characters become <unk>", () => {
  const tokenizer = small();
  for (const text of [
    "",
    "\n",
    " ",
    "[ADVANCE] 1-2=-1\n[OUTPUT] \\boxed{-1}<|im_end|>\n",
    "<|im_start|>user\n1+1<|im_end|>",
    "[OUTPUT]5",
    "\\boxed",
    "[ADVANCE]",
  ]) {
    const ids = tokenizer.encode(text);
    const known = !Array.from(ids).includes(tokenizer.idOf("<unk>"));
    if (known) expect(tokenizer.decode(ids)).toBe(text);
  }
  expect(Array.from(tokenizer.encode("x"))).toEqual([tokenizer.idOf("<unk>")]);
  expect(tokenizer.decode([])).toBe("");
  expect(tokenizer.decode(tokenizer.encode("5 ."))).toBe("5 ."); // no clean-up of spaces
  expect(tokenizer.decode(tokenizer.encode("<|im_start|>user\n1<|im_end|>"), { skipSpecialTokens: true })).toBe("user\n1");
});

test("ids without a token read as U+FFFD, impossible ids throw", () => {
  const tokenizer = small();
  expect(tokenizer.decode([tokenizer.idOf("1"), 60, tokenizer.idOf("2")])).toBe("1\uFFFD2");
  expect(tokenizer.tokenBytes(60)).toHaveLength(0);
  expect(() => tokenizer.decode([-1])).toThrow(RangeError);
  expect(() => tokenizer.decode([1.5])).toThrow("ids[0] must be a non-negative integer, but got 1.5.");
  expect(() => tokenizer.idOf("[JUMP]")).toThrow('The token "[JUMP]" is not in the tokenizer\'s vocabulary of 39 tokens.');
});

test("token bytes joined are the text", () => {
  const tokenizer = small();
  const text = "[ADVANCE] 47+85=132\n[OUTPUT] \\boxed{132}<|im_end|>";
  const bytes = Array.from(tokenizer.encode(text)).flatMap((id) => Array.from(tokenizer.tokenBytes(id)));
  expect(utf8.decode(Uint8Array.from(bytes))).toBe(text);
});

test("chat applies the template", () => {
  const tokenizer = small();
  const messages = [
    { role: "user", content: "1+1" },
    { role: "assistant", content: "[OUTPUT] \\boxed{2}" },
  ];
  expect(tokenizer.chat(messages.slice(0, 1), { addGenerationPrompt: true })).toBe("<|im_start|>user\n1+1<|im_end|>\n<|im_start|>assistant\n");
  expect(tokenizer.chat(messages)).toBe("<|im_start|>user\n1+1<|im_end|>\n<|im_start|>assistant\n[OUTPUT] \\boxed{2}<|im_end|>\n");
});

test("a template's own exception, a missing template and a named one", () => {
  const json = arithmeticTokenizerJson();
  const config = arithmeticTokenizerConfig();
  const raising = Tokenizer.fromJson(json, { ...config, chat_template: "{{ raise_exception('only users, please') }}" });
  expect(() => raising.chat([])).toThrow("The chat template failed: only users, please");
  expect(() => Tokenizer.fromJson(json, { ...config, chat_template: undefined }).chat([])).toThrow("has no chat_template");
  const named = Tokenizer.fromJson(json, { ...config, chat_template: [{ name: "default", template: "{{ eos_token }}" }] });
  expect(named.chat([])).toBe("<|im_end|>");
});

test("save and load keep everything; a chat_template.jinja wins", async () => {
  await inFolder(async (dir) => {
    const tokenizer = small();
    await tokenizer.save(dir);
    const text = "<|im_start|>user\n12*3<|im_end|>\n";
    expect((await Tokenizer.load(dir)).encode(text)).toEqual(tokenizer.encode(text));
    await writeFile(join(dir, "chat_template.jinja"), "{{ messages[0]['content'] }}!");
    expect((await Tokenizer.load(dir)).chat([{ role: "user", content: "hi" }])).toBe("hi!");
  });
});

test("special tokens in a file of their own, as older folders have them", async () => {
  await inFolder(async (dir) => {
    const { eos_token, ...config } = arithmeticTokenizerConfig();
    await Tokenizer.fromJson(arithmeticTokenizerJson(), { ...config, eos_token }).save(dir);
    await writeFile(join(dir, "tokenizer_config.json"), JSON.stringify(config));
    await expect(Tokenizer.load(dir)).rejects.toThrow("has no eos_token");
    await writeFile(join(dir, "special_tokens_map.json"), JSON.stringify({ eos_token: { content: eos_token }, pad_token: "ignored: the other file has one" }));
    expect((await Tokenizer.load(dir)).eosId).toBe(small().eosId);
  });
});

test("missing and broken files are named", async () => {
  await inFolder(async (dir) => {
    await expect(Tokenizer.load(dir)).rejects.toMatchObject({
      code: "ERR_TOKENIZER",
      message: `${join(dir, "tokenizer.json")} could not be read: there is no such file.`,
    });
    await writeFile(join(dir, "tokenizer.model"), "");
    await expect(Tokenizer.load(dir)).rejects.toThrow("It holds a tokenizer.model, which is not read; in Python,");
    await writeFile(join(dir, "tokenizer.json"), "{");
    await writeFile(join(dir, "tokenizer_config.json"), "{}");
    await expect(Tokenizer.load(dir)).rejects.toMatchObject({ code: "ERR_TOKENIZER", message: expect.stringContaining("is not valid JSON") });
  });
});

test("what would be carried out differently is refused, by name", () => {
  // biome-ignore lint/suspicious/noExplicitAny: these are the broken files of other people
  type Loose = any;
  const refusals: [string, (json: Loose, config: Loose) => unknown][] = [
    ["model.type", (json) => Object.assign(json.model, { type: "Mystery" })],
    ["model.dropout", (json) => Object.assign(json.model, { dropout: 0.1 })],
    ["model.continuing_subword_prefix", (json) => Object.assign(json.model, { continuing_subword_prefix: "##" })],
    ["model.vocab", (json) => Object.assign(json.model, { vocab: undefined })],
    ["single_word", (json) => Object.assign(json.added_tokens[0], { single_word: true })],
    ["pre_tokenizer.behavior", (json) => Object.assign(json.pre_tokenizer.pretokenizers[0], { behavior: "MergedWithNext" })],
    ["split_special_tokens", (_, config) => Object.assign(config, { split_special_tokens: true })],
    ["eos_token", (_, config) => Object.assign(config, { eos_token: null })],
    ['token 38 is "<extra>", but', (_, config) => Object.assign(config, { added_tokens_decoder: { 38: { content: "<extra>" } } })],
    ["fuse_unk", (json) => Object.assign(json.model, { fuse_unk: true })],
    ["normalizer", (json) => Object.assign(json, { normalizer: { type: "StripAccents" } })],
    ["pre_tokenizer", (json) => Object.assign(json.pre_tokenizer.pretokenizers[0], { type: "Whitespace" })],
    ["add_prefix_space", (json) => Object.assign(json.pre_tokenizer.pretokenizers[1], { add_prefix_space: true })],
    ["decoder", (json) => Object.assign(json.decoder, { type: "Mystery" })],
    ["decoder", (json) => Object.assign(json, { decoder: null })],
    ["could not be loaded", (json) => Object.assign(json.pre_tokenizer.pretokenizers[0], { pattern: { Regex: "(" } })],
  ];
  for (const [name, change] of refusals) {
    const json = arithmeticTokenizerJson();
    const config = arithmeticTokenizerConfig();
    change(json, config);
    expect(() => Tokenizer.fromJson(json, config)).toThrow(name);
  }
});

const shared = join(root, "..", "shared");
const shelf = [join(shared, "tokenizers", "qwen2_5"), join(shared, "models", "stories260K", "hf-qwen2")];
if (!shelf.every(existsSync)) console.log("tokenizer.test: ../shared is absent, so the Qwen2.5 and SentencePiece-style tokenizers are skipped.");

test.skipIf(!existsSync(shelf[0]))("Qwen2.5: ids, round trip, bytes, chat", async () => {
  const qwen = await Tokenizer.load(shelf[0]);
  expect(Array.from(qwen.encode("Hello world 123"))).toEqual([9707, 1879, 220, 16, 17, 18]);
  const text = "naïve 数学 🙂\n\tf(x) = x² + 1<|im_end|>";
  const ids = qwen.encode(text);
  expect(qwen.decode(ids)).toBe(text);
  expect(utf8.decode(Uint8Array.from(Array.from(ids).flatMap((id) => Array.from(qwen.tokenBytes(id)))))).toBe(text);
  expect(qwen.vocabSize).toBe(151665);
  expect(qwen.chat([{ role: "user", content: "hi" }], { addGenerationPrompt: true })).toEndWith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
});

test.skipIf(!existsSync(shelf[1]))("SentencePiece-style with byte fallback: bytes joined are the text behind the prefixed space", async () => {
  const stories = await Tokenizer.load(shelf[1]);
  const ids = stories.encode("Once upon a time, é");
  expect(stories.decode(ids)).toBe("Once upon a time, é");
  expect(utf8.decode(Uint8Array.from(Array.from(ids).flatMap((id) => Array.from(stories.tokenBytes(id)))))).toBe(" Once upon a time, é");
});
