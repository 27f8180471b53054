// What of tokenizer.json @huggingface/tokenizers carries out exactly. It ignores some settings without a word; those are refused here.
import { PrimekitError } from "../errors.ts";

interface Stage {
  type: string;
  [key: string]: unknown;
}

export interface TokenizerJson {
  added_tokens?: { id: number; content: string; special?: boolean; single_word?: boolean }[];
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
  chat_template?: string | { name: string; template: string }[] | null;
  [key: string]: unknown;
}

const MODELS = ["BPE", "WordPiece", "Unigram", "WordLevel"];
const SPLIT_BEHAVIOURS = ["isolated", "removed"];

/** Throws ERR_TOKENIZER naming the first setting that would be carried out differently from the Rust tokenizers. */
export function checkSupported(json: TokenizerJson, config: TokenizerConfig): void {
  const { model } = json;
  if (typeof model !== "object" || model === null || typeof model.vocab !== "object" || model.vocab === null)
    refuse("model.vocab", "missing", "a table of tokens");
  if (model.type !== undefined && !MODELS.includes(model.type)) refuse("model.type", model.type, MODELS.join(", "));
  if (model.type === "BPE" && model.continuing_subword_prefix) refuse("model.continuing_subword_prefix", model.continuing_subword_prefix, "an empty one");
  if (model.dropout) refuse("model.dropout", model.dropout, "null: an encoding must not depend on chance");
  for (const token of json.added_tokens ?? []) {
    if (token.single_word) refuse(`added token ${JSON.stringify(token.content)}: single_word`, true, "false");
  }
  for (const stage of stagesOf(json.pre_tokenizer, "pretokenizers")) {
    const behaviour = String(stage.behavior ?? "isolated").toLowerCase();
    if (stage.type === "Split" && !SPLIT_BEHAVIOURS.includes(behaviour)) refuse("pre_tokenizer.behavior", stage.behavior, "Isolated or Removed");
  }
  if (config.split_special_tokens === true) refuse("split_special_tokens", true, "false");
}

// --- internal ---

function stagesOf(stage: Stage | null | undefined, key: string): Stage[] {
  if (!stage) return [];
  const nested = stage[key];
  return Array.isArray(nested) ? nested.flatMap((inner: Stage) => stagesOf(inner, key)) : [stage];
}

function refuse(setting: string, got: unknown, supported: string): never {
  throw new PrimekitError("ERR_TOKENIZER", `This tokenizer's ${setting} is ${JSON.stringify(got)}, which is not supported; supported: ${supported}.`);
}
