// Chat templates give what transformers' apply_chat_template gives, on recorded conversations.
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import type { ChatMessage } from "../../ts/tokenizer/chat.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";

interface Row {
  template: string;
  messages: ChatMessage[];
  addGenerationPrompt: boolean;
  text: string;
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
  expectTexts(await Tokenizer.load(qwenDir), "qwen2_5");
});

for (const [name, template] of Object.entries(recorded.templates)) {
  test(`a template in another style: ${name}`, () => {
    const config = { ...arithmeticTokenizerConfig(), bos_token: "<s>", chat_template: template };
    expectTexts(Tokenizer.fromJson(arithmeticTokenizerJson(), config), name);
  });
}
