// The tokenizer of the built-in task: a small byte-level vocabulary in which every digit, operator and action tag is one token.
// scripts/make_arithmetic_tokenizer.ts writes what these two functions return into ts/data/arithmetic_tokenizer/.

/** PRIME's actions; each tag with the space behind it is one token. */
export const ACTIONS = ["ASSESS", "ADVANCE", "VERIFY", "SIMPLIFY", "SYNTHESIZE", "PIVOT", "OUTPUT"] as const;
const CHARACTERS = [..."0123456789+-*/=(),.{}? \n"];
const WORDS = ["system", "user", "assistant", "\\boxed{"];
const SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>"];

/** Messages as `<|im_start|>role\ncontent<|im_end|>\n`, the convention of Qwen models. */
const CHAT_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/**
 * Contents of tokenizer.json: BPE without merges, so a text is cut into characters; what is longer is an added token. (transformers 5 cuts every text
 * for a Qwen2 model by Qwen2's own pattern, whatever this file says: added tokens stay whole there, too.)
 */
export function arithmeticTokenizerJson() {
  const added = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const long = [...WORDS, ...ACTIONS.map((action) => `[${action}] `)];
  const vocabulary = [...SPECIAL, ...CHARACTERS.map(byteLevel), ...long];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [
      ...SPECIAL.map((content, id) => ({ id, content, ...added, special: true })),
      ...long.map((content) => ({ id: vocabulary.indexOf(content), content, ...added, special: false })),
    ],
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: "[\\s\\S]" }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges: [] as string[],
    },
  };
}

/** Contents of tokenizer_config.json. */
export function arithmeticTokenizerConfig() {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    unk_token: "<unk>",
    add_bos_token: false,
    clean_up_tokenization_spaces: false,
    split_special_tokens: false,
    model_max_length: 1024,
    chat_template: CHAT_TEMPLATE,
  };
}

// --- internal ---

/** GPT-2's spelling of the two bytes of our vocabulary that are not printable. */
function byteLevel(token: string): string {
  return token.replaceAll(" ", "\u0120").replaceAll("\n", "\u010a");
}
