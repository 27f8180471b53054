// What of tokenizer.json @huggingface/tokenizers carries out exactly. It ignores some settings without a word; those are refused here.
import { PrimekitError } from "../errors.ts";

export interface Stage {
  type: string;
  [key: string]: unknown;
}

export interface TokenizerJson {
  added_tokens?: { id: number; content: string; special?: boolean; single_word?: boolean; lstrip?: boolean; rstrip?: boolean }[];
  normalizer: Stage | null;
  pre_tokenizer: Stage | null;
  post_processor: Stage | null;
  decoder: Stage | null;
  model: { type?: string; vocab?: unknown; [key: string]: unknown };
}

type TokenSetting = string | { content: string } | null | undefined;

export interface TokenizerConfig {
  eos_token?: TokenSetting;
  pad_token?: TokenSetting;
  bos_token?: TokenSetting;
  unk_token?: TokenSetting;
  added_tokens_decoder?: Record<string, { content: string }>;
  chat_template?: string | { name: string; template: string }[] | null;
  [key: string]: unknown;
}

/** Each of these is held to the reference by recorded ids (test/tokenizer/parity.test.ts); others are refused until they are. */
const NORMALIZERS = ["NFC", "NFD", "NFKC", "NFKD", "Prepend", "Replace", "Sequence"];
const PRE_TOKENIZERS = ["ByteLevel", "Digits", "Metaspace", "Sequence", "Split"];
const DECODERS = ["ByteFallback", "ByteLevel", "Fuse", "Replace", "Strip"];
const SPLIT_BEHAVIOURS = ["isolated", "removed"];

/** Throws ERR_TOKENIZER naming the first setting that would be carried out differently from the Rust tokenizers. */
export function checkSupported(json: TokenizerJson, config: TokenizerConfig): void {
  checkModel(json.model);
  for (const token of json.added_tokens ?? []) {
    for (const setting of ["single_word", "lstrip", "rstrip"] as const) {
      if (token[setting]) refuse(`added token ${JSON.stringify(token.content)}: ${setting}`, true, "false");
    }
  }
  checkTypes("normalizer", stagesOf(json.normalizer, "normalizers"), NORMALIZERS);
  checkDecoder(decoderStages(json));
  const stages = stagesOf(json.pre_tokenizer, "pretokenizers");
  checkTypes("pre_tokenizer", stages, PRE_TOKENIZERS);
  for (const stage of stages) {
    const behaviour = String(stage.behavior ?? "isolated").toLowerCase();
    if (stage.type === "Split" && !SPLIT_BEHAVIOURS.includes(behaviour)) refuse("pre_tokenizer.behavior", stage.behavior, "Isolated or Removed");
    if (stage.type === "Split" && stage.invert === true) refuse("pre_tokenizer.invert", true, "false");
    if (stage.type === "ByteLevel" && stage.add_prefix_space === true) refuse("pre_tokenizer.add_prefix_space", true, "false");
  }
  if (config.split_special_tokens === true) refuse("split_special_tokens", true, "false");
}

/** The decoder's stages, in order, those of sequences one by one. */
export function decoderStages(json: TokenizerJson): Stage[] {
  return stagesOf(json.decoder, "decoders");
}

// --- internal ---

/** What token_bytes.ts and the decoding from bytes carry out: byte-level, or "▁" for spaces with byte tokens and perhaps one space in front. */
function checkDecoder(stages: readonly Stage[]): void {
  checkTypes("decoder", stages, DECODERS);
  if (stages.length === 0) refuse("decoder", null, DECODERS.join(", "));
  for (const { type, pattern, content, start, stop } of stages) {
    if (type === "Strip" && !(content === " " && start === 1 && stop === 0)) refuse("decoder.Strip", { content, start, stop }, "one space at the start");
    const plain = content === " " && (pattern as { String?: string } | undefined)?.String === "\u2581";
    if (type === "Replace" && !plain) refuse("decoder.Replace", { pattern, content }, 'a space for "\u2581"');
  }
}

function checkModel(model: TokenizerJson["model"]): void {
  if (typeof model !== "object" || model === null || typeof model.vocab !== "object" || model.vocab === null)
    refuse("model.vocab", "missing", "a table of tokens");
  if ((model.type ?? "BPE") !== "BPE") refuse("model.type", model.type, "BPE");
  for (const affix of ["continuing_subword_prefix", "end_of_word_suffix"]) if (model[affix]) refuse(`model.${affix}`, model[affix], "an empty one");
  if (model.dropout) refuse("model.dropout", model.dropout, "null: an encoding must not depend on chance");
  if (model.fuse_unk && !model.byte_fallback) refuse("model.fuse_unk", true, "false, or true with byte_fallback");
}

function checkTypes(part: string, stages: readonly Stage[], supported: readonly string[]): void {
  const other = stages.find(({ type }) => !supported.includes(type));
  if (other) refuse(part, other.type, supported.join(", "));
}

function stagesOf(stage: Stage | null | undefined, key: string): Stage[] {
  if (!stage) return [];
  const nested = stage[key];
  return Array.isArray(nested) ? nested.flatMap((inner: Stage) => stagesOf(inner, key)) : [stage];
}

function refuse(setting: string, got: unknown, supported: string): never {
  throw new PrimekitError("ERR_TOKENIZER", `This tokenizer's ${setting} is ${JSON.stringify(got)}, which is not supported; supported: ${supported}.`);
}
