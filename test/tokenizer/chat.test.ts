// Chat templates give what transformers' apply_chat_template gives, on recorded conversations.
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import type { ChatMessage } from "../../ts/tokenizer/chat.ts";
import { encodeConversation } from "../../ts/tokenizer/conversation.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";

interface Row {
  template: string;
  messages: ChatMessage[];
  addGenerationPrompt: boolean;
  text: string;
  ids?: number[]; // of Qwen2.5, of conversations that end with the assistant
}

const root = join(import.meta.dir, "..", "..");
const qwenDir = join(root, "..", "shared", "tokenizers", "qwen2_5");
const recorded: { templates: Record<string, string>; rows: Row[] } = JSON.parse(
  readFileSync(join(root, "test", "fixtures", "tokenizers", "chats.json"), "utf8"),
);
if (!existsSync(qwenDir)) console.log(`skipped: Qwen2.5's chat template, because ${qwenDir} is absent.`);

function expectTexts(tokenizer: Tokenizer, template: string): void {
  const rows = recorded.rows.filter((row) => row.template === template);
  expect(rows.length).toBeGreaterThanOrEqual(20);
  for (const { messages, addGenerationPrompt, text } of rows) expect(tokenizer.chat(messages, { addGenerationPrompt })).toBe(text);
}

test.skipIf(!existsSync(qwenDir))("Qwen2.5's template", async () => {
  const qwen = await Tokenizer.load(qwenDir);
  expectTexts(qwen, "qwen2_5");
  // Encoded turn by turn for fine-tuning, conversations have the same ids; but an answer that begins with a newline keeps it apart from the
  // prompt's last one, as in generation, where the whole text makes one token of the two.
  const conversations = recorded.rows.filter(({ ids, messages, addGenerationPrompt }) => ids && !addGenerationPrompt && messages[0].role !== "assistant");
  expect(conversations.length).toBeGreaterThanOrEqual(6);
  for (const { messages, ids = [] } of conversations.filter(({ messages }) => messages.every(({ content }) => !content.startsWith("\n")))) {
    const { tokens } = encodeConversation(qwen, messages);
    expect([...tokens, ...qwen.encode("\n")]).toEqual(ids);
  }
});

for (const [name, template] of Object.entries(recorded.templates)) {
  test(`a template in another style: ${name}`, () => {
    const config = { ...arithmeticTokenizerConfig(), bos_token: "<s>", chat_template: template };
    expectTexts(Tokenizer.fromJson(arithmeticTokenizerJson(), config), name);
  });
}
