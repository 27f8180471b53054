// Tokenizer: text <-> token ids from a Hugging Face tokenizer.json, over @huggingface/tokenizers, with the chat template of tokenizer_config.json.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { PrimekitError, rangeError, typeError } from "../errors.ts";
import { type ChatMessage, chatTemplateOf, renderChat } from "./chat.ts";
import { readTokenizerFolder, TOKENIZER_FILES } from "./files.ts";
import { pinNormalization } from "./normalization.ts";
import { tokenOffsets } from "./offsets.ts";
import { exactStages } from "./stages.ts";
import { checkSupported, decoderStages, type TokenizerConfig, type TokenizerJson } from "./supported.ts";
import { tokenBytesTable } from "./token_bytes.ts";

const NOTHING = new Uint8Array(0);
const REPLACEMENT = new TextEncoder().encode("\uFFFD");

/** A Hugging Face tokenizer: text to ids and back, bytes and offsets of tokens, chat templates. Made by Tokenizer.load() or Tokenizer.fromJson(). */
export class Tokenizer {
  /** Number of ids the tokenizer knows: the largest id + 1. A model's embedding may have more rows. */
  readonly vocabSize: number;
  readonly eosId: number;
  readonly padId: number | undefined;
  /** Whether encoding puts a space before a text (SentencePiece), which decoding takes away again. */
  readonly addsLeadingSpace: boolean;
  /** What a text begins with when it is no chat (a chat template writes its own): the begin-of-text token, or nothing. */
  readonly startIds: Int32Array;
  readonly #json: TokenizerJson;
  readonly #config: TokenizerConfig;
  readonly #hf: HfTokenizer;
  readonly #ids: Map<string, number>; // token text as in tokenizer.json -> id
  readonly #tokens: (string | undefined)[]; // [V]
  readonly #special: Set<number>;
  readonly #added: Map<number, string>; // id -> text of the added tokens
  #bytes: Uint8Array[] | undefined; // [V], made on first use

  private constructor(json: TokenizerJson, config: TokenizerConfig) {
    checkSupported(json, config);
    this.#json = json;
    this.#config = config;
    this.#hf = construct(json, config);
    this.addsLeadingSpace = decoderStages(json).some(({ type }) => type === "Strip");
    this.#ids = this.#hf.get_vocab(true);
    this.#tokens = [];
    for (const [token, id] of this.#ids) this.#tokens[id] = token;
    for (const token of json.added_tokens ?? []) this.#tokens[token.id] = token.content;
    this.#checkAdded();
    this.#added = new Map((json.added_tokens ?? []).map((token) => [token.id, token.content]));
    this.vocabSize = this.#tokens.length;
    this.#special = new Set((json.added_tokens ?? []).filter((token) => token.special).map((token) => token.id));
    const eos = contentOf(config.eos_token);
    if (eos === undefined)
      throw new PrimekitError("ERR_TOKENIZER", "The tokenizer has no eos_token in tokenizer_config.json; primekit needs one to know where a text ends.");
    this.eosId = this.idOf(eos);
    this.startIds = this.#findStart();
    const pad = contentOf(config.pad_token);
    this.padId = pad === undefined ? undefined : this.idOf(pad);
  }

  /**
   * The tokenizer of a Hugging Face directory (tokenizer.json, tokenizer_config.json and, where present, chat_template.jinja).
   * Throws ERR_TOKENIZER when a file is missing, is not JSON or asks for something this tokenizer would do differently.
   */
  static async load(dir: string): Promise<Tokenizer> {
    const { json, config } = await readTokenizerFolder(dir);
    return Tokenizer.fromJson(json, config);
  }

  /** The same from the parsed contents of tokenizer.json and tokenizer_config.json. */
  static fromJson(tokenizerJson: unknown, tokenizerConfig: unknown): Tokenizer {
    if (!isObject(tokenizerJson)) throw typeError("tokenizerJson", "the parsed contents of a tokenizer.json", tokenizerJson);
    if (!isObject(tokenizerConfig)) throw typeError("tokenizerConfig", "the parsed contents of a tokenizer_config.json", tokenizerConfig);
    return new Tokenizer(tokenizerJson as unknown as TokenizerJson, tokenizerConfig as TokenizerConfig);
  }

  /**
   * Token ids of a text; special tokens are recognised where they are written out, none are added.
   * Half of a surrogate pair, which is no character, is read as U+FFFD.
   */
  encode(text: string): Int32Array /* [T] */ {
    if (typeof text !== "string") throw typeError("text", "a string", text);
    if (text.length === 0) return new Int32Array(0);
    const ids: (number | undefined)[] = this.#hf.encode(wellFormed(text), { add_special_tokens: false }).ids;
    const unknown = ids.indexOf(undefined);
    if (unknown >= 0)
      throw new PrimekitError(
        "ERR_TOKENIZER",
        `The text cannot be encoded: its token ${unknown} is outside the vocabulary and the tokenizer has no unk_token.`,
      );
    return Int32Array.from(ids as number[]);
  }

  /**
   * The same ids with the place [T] in the text where each token begins, in UTF-16 units (as string indices count). A token that begins within
   * a character, or within one that normalisation put together from several, begins where that character does.
   */
  encodeWithOffsets(text: string): { ids: Int32Array /* [T] */; offsets: Int32Array /* [T] */ } {
    const ids = this.encode(text);
    const offsets = tokenOffsets(wellFormed(text), ids, {
      normalize: (part) => this.#hf.normalizer?.(part) ?? part,
      tokenBytes: (id) => this.tokenBytes(id),
      addedText: (id) => this.#added.get(id),
    });
    return { ids, offsets };
  }

  /**
   * Text of token ids. Ids without a token (padded rows of an embedding) read as U+FFFD; spaces are never "cleaned up".
   * Throws a RangeError for ids that are no non-negative integers.
   */
  decode(ids: ArrayLike<number>, options: { skipSpecialTokens?: boolean } = {}): string {
    const pieces: Uint8Array[] = [];
    for (let i = 0; i < ids.length; i++) {
      if (options.skipSpecialTokens && this.#special.has(ids[i])) continue;
      pieces.push(this.textBytes(ids[i], `ids[${i}]`));
    }
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(concatenate(pieces));
    return this.addsLeadingSpace && text.startsWith(" ") ? text.slice(1) : text;
  }

  /** Id of a token written as in tokenizer.json. Throws ERR_TOKENIZER for one that is not in the vocabulary. */
  idOf(token: string): number {
    const id = this.#ids.get(token) ?? this.#json.added_tokens?.find((added) => added.content === token)?.id;
    if (id === undefined)
      throw new PrimekitError(
        "ERR_TOKENIZER",
        `The token ${JSON.stringify(token)} is not in the tokenizer's vocabulary of ${this.vocabSize ?? this.#tokens.length} tokens.`,
      );
    return id;
  }

  /** Whether an id is a special token (end of text, chat mark-up, padding). */
  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  /** The bytes a token adds to a text; empty for ids without a token. A character may spread over several tokens. */
  tokenBytes(id: number): Uint8Array {
    if (!Number.isInteger(id) || id < 0) throw rangeError("id", "a non-negative integer", id);
    this.#bytes ??= tokenBytesTable(this.#json, this.#tokens);
    return this.#bytes[id] ?? NOTHING;
  }

  /** The same, with U+FFFD for ids without a token: what decode() and StreamDecoder read. */
  textBytes(id: number, name = "id"): Uint8Array {
    if (!Number.isInteger(id) || id < 0) throw rangeError(name, "a non-negative integer", id);
    return this.#tokens[id] === undefined ? REPLACEMENT : this.tokenBytes(id);
  }

  /** Whether chat() can work: the tokenizer came with a chat template. */
  get hasChatTemplate(): boolean {
    const template = this.#config.chat_template;
    return typeof template === "string" || (Array.isArray(template) && template.some(({ name }) => name === "default"));
  }

  /** The chat template applied to messages; with addGenerationPrompt the text ends where the assistant's answer begins. */
  chat(messages: readonly ChatMessage[], options: { addGenerationPrompt?: boolean } = {}): string {
    const template = chatTemplateOf(this.#config);
    return renderChat(template, messages, {
      add_generation_prompt: options.addGenerationPrompt ?? false,
      bos_token: contentOf(this.#config.bos_token) ?? "",
      eos_token: contentOf(this.#config.eos_token) ?? "",
      pad_token: contentOf(this.#config.pad_token) ?? "",
      unk_token: contentOf(this.#config.unk_token) ?? "",
    });
  }

  /** Writes tokenizer.json and tokenizer_config.json into a directory (made where missing), readable by transformers too. */
  async save(dir: string): Promise<void> {
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, TOKENIZER_FILES.tokenizer), `${JSON.stringify(this.#json, null, 2)}\n`);
    await writeFile(join(dir, TOKENIZER_FILES.config), `${JSON.stringify(this.#config, null, 2)}\n`);
  }

  // --- internal ---

  /** Tokens that tokenizer_config.json adds must be those of tokenizer.json: transformers would add the others. */
  #checkAdded(): void {
    for (const [id, { content }] of Object.entries(this.#config.added_tokens_decoder ?? {})) {
      if (this.#tokens[Number(id)] === content) continue;
      const other = this.#tokens[Number(id)];
      const found = other === undefined ? "no token of that id" : JSON.stringify(other);
      throw new PrimekitError("ERR_TOKENIZER", `tokenizer_config.json says that token ${id} is ${JSON.stringify(content)}, but tokenizer.json has ${found}.`);
    }
  }

  /** By add_bos_token of tokenizer_config.json, else what the post-processor puts in front. */
  #findStart(): Int32Array {
    const bos = contentOf(this.#config.bos_token);
    if (typeof this.#config.add_bos_token === "boolean") return Int32Array.from(this.#config.add_bos_token && bos !== undefined ? [this.idOf(bos)] : []);
    const plain = this.encode("a");
    const full: number[] = this.#hf.encode("a", { add_special_tokens: true }).ids;
    return Int32Array.from(full.slice(0, Math.max(0, full.indexOf(plain[0]))));
  }
}

// --- internal ---

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** tokenizer_config.json writes a token as a string or as an object with its content. */
function contentOf(token: TokenizerConfig["eos_token"]): string | undefined {
  return typeof token === "string" ? token : (token?.content ?? undefined);
}

/** Halves of surrogate pairs, which have no UTF-8, become U+FFFD. */
function wellFormed(text: string): string {
  return text.replace(/\p{Cs}/gu, "\uFFFD");
}

function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function construct(json: TokenizerJson, config: TokenizerConfig): HfTokenizer {
  try {
    const tokenizer = new HfTokenizer(exactStages(json), config);
    pinNormalization(tokenizer);
    return tokenizer;
  } catch (error) {
    throw new PrimekitError("ERR_TOKENIZER", `tokenizer.json could not be loaded: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
