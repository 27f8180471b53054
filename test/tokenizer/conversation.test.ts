import { expect, test } from "bun:test";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { encodeCompletion, encodeConversation } from "../../ts/tokenizer/conversation.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";

const tokenizerWith = (config: object) => Tokenizer.fromJson(arithmeticTokenizerJson(), { ...arithmeticTokenizerConfig(), ...config });
const chat = [
  { role: "system", content: "+" },
  { role: "user", content: "1+1" },
  { role: "assistant", content: "2" },
  { role: "user", content: "3+4" },
  { role: "assistant", content: "7" },
];

/** The learned tokens' texts, with "|" where one stretch of them ends. */
function learnedText(tokenizer: Tokenizer, { tokens, learned }: ReturnType<typeof encodeConversation>): string {
  return Array.from(tokens, (id, t) => (learned[t] ? tokenizer.decode([id]) + (learned[t + 1] ? "" : "|") : "")).join("");
}

test("every assistant turn is learned through its end mark; nothing follows the last", () => {
  const tokenizer = tokenizerWith({});
  const example = encodeConversation(tokenizer, chat);
  expect(learnedText(tokenizer, example)).toBe("2<|im_end|>|7<|im_end|>|");
  expect(tokenizer.decode(example.tokens)).toBe(tokenizer.chat(chat).trimEnd());
  expect(learnedText(tokenizer, encodeConversation(tokenizer, chat.slice(0, 4)))).toBe("2<|im_end|>|"); // the last question has no answer
  expect(encodeConversation(tokenizer, chat.slice(0, 2)).tokens).toHaveLength(0);
});

test("a template without end marks: the last turn still learns to end", () => {
  const tokenizer = tokenizerWith({
    chat_template: "{% for m in messages %}{{ m['role'] + '\n' + m['content'] + '\n' }}{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}",
  });
  expect(learnedText(tokenizer, encodeConversation(tokenizer, chat))).toBe("2\n|7\n<|im_end|>|");
});

test("a template that rewrites earlier turns is refused", () => {
  const forgetful =
    "{% for m in messages %}{{ m['role'] + '\n' }}{% if loop.last or m['role'] == 'user' %}{{ m['content'] }}{% endif %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}";
  const tokenizer = tokenizerWith({ chat_template: forgetful });
  expect(() => encodeConversation(tokenizer, chat.slice(1))).toThrow("The chat template writes message 2 differently when others follow it");
  expect(learnedText(tokenizer, encodeConversation(tokenizer, chat.slice(1, 3)))).toBe("2\n<|im_end|>|");
});

test("plain prompt and response, with the begin-of-text token where the tokenizer asks for it", () => {
  for (const [add_bos_token, start] of [
    [false, ""],
    [true, "<|endoftext|>"],
    [undefined, ""],
  ] as const) {
    const tokenizer = tokenizerWith({ bos_token: "<|endoftext|>", add_bos_token });
    expect(tokenizer.decode(tokenizer.startIds)).toBe(start);
    const example = encodeCompletion(tokenizer, "1+1=", "2");
    expect(tokenizer.decode(example.tokens)).toBe(`${start}1+1=2<|im_end|>`);
    expect(learnedText(tokenizer, example)).toBe("2<|im_end|>|");
  }
});

test("the begin-of-text token of a post-processor", () => {
  const json = arithmeticTokenizerJson();
  const single = [{ SpecialToken: { id: "<|im_start|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }];
  const processor = { type: "TemplateProcessing", single, pair: single, special_tokens: {} };
  const tokenizer = Tokenizer.fromJson({ ...json, post_processor: processor }, { ...arithmeticTokenizerConfig(), add_bos_token: undefined });
  expect(tokenizer.decode(tokenizer.startIds)).toBe("<|im_start|>");
  expect(tokenizer.decode(tokenizer.encode("1"))).toBe("1");
});
