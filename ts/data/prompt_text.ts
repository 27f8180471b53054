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
    // Counting the tokens of every whole prompt would take longer than all else: most are far from the limit, and what is around the question is the same.
    if (row.prompt !== undefined) {
      const room = limit - overhead(row.ability);
      if (isAscii(row.prompt) && row.prompt.length + SLACK <= room) return true; // a token has at least one byte of plain ASCII
      const tokens = tokenizer.encode(row.prompt).length;
      if (tokens + SLACK <= room) return true;
      if (tokens - SLACK > room) return false;
    }
    return tokenizer.encode(text(row)).length <= limit;
  };
  return { text, fits };
}

// --- internal ---

const SLACK = 16; // tokens by which a question may differ in its surroundings: the two join at both ends

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}
