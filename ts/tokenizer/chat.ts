// Chat templates (Jinja, as in tokenizer_config.json) through @huggingface/jinja.
import { Template } from "@huggingface/jinja";
import { PrimekitError } from "../errors.ts";
import type { TokenizerConfig } from "./supported.ts";

export interface ChatMessage {
  role: string; // "system", "user", "assistant", …
  content: string;
}

const parsed = new Map<string, Template>();

/** The template's text: one string, or the one named "default" of a list. */
export function chatTemplateOf(config: TokenizerConfig): string {
  const template = config.chat_template;
  if (typeof template === "string") return template;
  const named = Array.isArray(template) ? template.find((entry) => entry.name === "default")?.template : undefined;
  if (named === undefined)
    throw new PrimekitError("ERR_TOKENIZER", 'The tokenizer has no chat_template (and none named "default"), so messages cannot be turned into a prompt.');
  return named;
}

/**
 * A template applied to messages and the tokenizer's special tokens. Throws ERR_TOKENIZER with the template's own message.
 * One difference to transformers is known: a template that writes out a boolean gets "true", not Python's "True".
 */
export function renderChat(template: string, messages: readonly ChatMessage[], values: Record<string, unknown>): string {
  try {
    let compiled = parsed.get(template);
    if (!compiled) {
      compiled = new Template(template);
      parsed.set(template, compiled);
    }
    return compiled.render({ messages, tools: null, ...values });
  } catch (error) {
    throw new PrimekitError("ERR_TOKENIZER", `The chat template failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
