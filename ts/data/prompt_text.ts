// From a row to the text that the policy continues: messages, what the prompt style adds, the chat template; and whether it is short enough.
import type { ChatMessage } from "../tokenizer/chat.ts";
import { type PromptStyle, styleMessages } from "../tokenizer/prompts.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { MappedRow } from "./mappings/index.ts";

/** What is added to a row's messages: a style by name, or a function of one's own. */
export type PromptStyleOption = PromptStyle | ((messages: readonly ChatMessage[], ability?: string) => ChatMessage[]);

export interface PromptWriter {
  text(row: MappedRow): string;
  /** Whether the text has at most `limit` tokens. */
  fits(row: MappedRow, limit: number): boolean;
}

/** With chatTemplate false, the text is that of the messages, one after the other, with an empty line between. */
export function promptWriter(tokenizer: Tokenizer, options: { promptStyle?: PromptStyleOption; chatTemplate?: boolean }): PromptWriter {
  const { promptStyle = "none", chatTemplate = true } = options;
  const render = (messages: ChatMessage[], ability?: string): string => {
    const styled = typeof promptStyle === "function" ? promptStyle(messages, ability) : styleMessages(messages, promptStyle, ability);
    return chatTemplate ? tokenizer.chat(styled, { addGenerationPrompt: true }) : styled.map(({ content }) => content).join("\n\n");
  };
  const text = (row: MappedRow) => render(row.messages ?? [{ role: "user", content: row.prompt ?? "" }], row.ability);
  const overheads = new Map<string | undefined, number>();
  const overhead = (ability?: string): number => {
    const known = overheads.get(ability);
    if (known !== undefined) return known;
    const tokens = tokenizer.encode(render([{ role: "user", content: "" }], ability)).length;
    overheads.set(ability, tokens);
    return tokens;
  };
  const fits = (row: MappedRow, limit: number) => {
    // Almost every prompt is far below the limit, and a token has at least one byte of plain ASCII: no need to count then.
    if (row.prompt !== undefined && isAscii(row.prompt) && row.prompt.length + overhead(row.ability) + SLACK <= limit) return true;
    return tokenizer.encode(text(row)).length <= limit;
  };
  return { text, fits };
}

// --- internal ---

const SLACK = 16; // tokens that may split where the prompt meets what is around it

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}
