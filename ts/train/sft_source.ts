// Where fine-tuning gets its examples from, and what it measures itself by: a task's demonstrations, or the rows of a dataset.
import type { Dataset, DatasetRow } from "../data/dataset.ts";
import { rowOf } from "../data/order.ts";
import type { Task } from "../data/task.ts";
import { PrimekitError } from "../errors.ts";
import { type Accuracy, type AccuracyOptions, measureAccuracy } from "../eval/accuracy.ts";
import type { Model } from "../model.ts";
import { encodePrompt } from "../rollout/sample.ts";
import type { ChatMessage } from "../tokenizer/chat.ts";
import { answerSpans, encodeCompletion, encodeConversation, type LearnedTokens } from "../tokenizer/conversation.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

export interface SftSource {
  readonly tokenizer: Tokenizer; // saved with the model
  /** The example at an index >= 0, the same for ever. Each has a learned token. */
  at(index: number): LearnedTokens;
  /** For the held-out loss; may be empty. */
  readonly heldOut: readonly LearnedTokens[];
  /** Greedy accuracy of at most `problems` held-out problems (0 = all), where there is a verifier. */
  measure?(model: Model, problems: number, options: AccuracyOptions): Promise<Accuracy>;
}

/** A task's demonstrations; measured by its verifier. */
export function demonstrationSource(task: Task): SftSource {
  const { tokenizer, demonstrations, heldOut } = task;
  return {
    tokenizer,
    heldOut: [],
    at(index) {
      const example = demonstrations.at(index);
      const prompt = encodePrompt(tokenizer, example);
      const tokens = Int32Array.from([...prompt, ...tokenizer.encode(example.response), tokenizer.eosId]);
      return { tokens, learned: new Uint8Array(tokens.length).fill(1, prompt.length) };
    },
    ...(heldOut.length > 0 && {
      measure: (model, problems, options) => measureAccuracy(model, task, problems === 0 ? heldOut : heldOut.slice(0, problems), options),
    }),
  };
}

export interface RowOptions {
  /** Longest example in tokens; longer ones are cut at the end. */
  maxLength: number;
  /** False: prompt and response follow each other as they are, for models that know no chat. Default true. */
  chatTemplate?: boolean;
  /** Adds to the messages what the model shall be told; default: nothing. */
  promptStyle?: (messages: ChatMessage[], ability?: string) => ChatMessage[];
}

/** The rows of a dataset in the order of the seed, every one once an epoch; measured by the loss of its held-out rows. */
export function datasetSource(dataset: Dataset, tokenizer: Tokenizer, options: RowOptions & { seed: number }): SftSource {
  const encode = (row: DatasetRow) => {
    const example = encodeRow(tokenizer, row, options);
    if (example.learned.includes(1)) return example;
    throw new PrimekitError(
      "ERR_DATA",
      `The first ${options.maxLength} tokens of ${row.file}:${row.line} hold nothing of the assistant's: allow a longer maxLength.`,
    );
  };
  return {
    tokenizer,
    at: (index) => encode(dataset.at(rowOf(options.seed, index, dataset.length))),
    heldOut: dataset.heldOut.map(encode),
  };
}

/** Whether a row can be learned from: for Dataset.open's `accept`, so that no step meets one that cannot. */
export function isLearnable(tokenizer: Tokenizer, row: DatasetRow, options: RowOptions): boolean {
  try {
    if (row.response === undefined) return false;
    const { plain, chat } = conversationOf(row, options);
    // A token has at least one byte, so for nearly every row there is no need to count.
    const before = chat ? answerSpans(tokenizer, chat)[0].before : plain;
    if (MAX_BYTES * before.length + START < options.maxLength) return true;
    return encodeRow(tokenizer, row, options).learned.includes(1);
  } catch (error) {
    if (error instanceof PrimekitError && error.code === "ERR_TOKENIZER") return false; // the template refuses it
    throw error;
  }
}

// --- internal ---

const MAX_BYTES = 3; // of a UTF-16 unit in UTF-8
const START = 4; // tokens that a tokenizer may put in front

/** A row as it is learned: all messages for the chat template (`chat`), or the prompt's text (`plain`) before the response. */
function conversationOf(row: DatasetRow, { chatTemplate = true, promptStyle }: RowOptions): { plain: string; chat?: ChatMessage[]; response: string } {
  const asked = row.messages ?? [{ role: "user", content: row.prompt ?? "" }];
  const styled = promptStyle ? promptStyle(asked, row.ability) : asked;
  const response = row.response ?? "";
  const plain = styled.map(({ content }) => content).join("\n\n");
  return { plain, response, ...(chatTemplate ? { chat: [...styled, { role: "assistant", content: response }] } : {}) };
}

function encodeRow(tokenizer: Tokenizer, row: DatasetRow, options: RowOptions): LearnedTokens {
  const { maxLength } = options;
  const { plain, chat, response } = conversationOf(row, options);
  const { tokens, learned } = chat ? encodeConversation(tokenizer, chat) : encodeCompletion(tokenizer, plain, response);
  return { tokens: tokens.subarray(0, maxLength), learned: learned.subarray(0, maxLength) };
}
