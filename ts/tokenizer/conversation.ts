// A conversation as tokens, with the assistant's own marked: what fine-tuning learns.
import { PrimekitError } from "../errors.ts";
import type { ChatMessage } from "./chat.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface LearnedTokens {
  tokens: Int32Array; // [T]
  /** 1 for the tokens of every assistant turn up to and including its end-of-text token, 0 for all others; the first is always 0. */
  learned: Uint8Array; // [T]
}

/**
 * Renders a conversation turn by turn: what the template adds for an assistant's turn to the prompt before it is learned. Every piece is encoded on
 * its own, as in generation, where a prompt is encoded and the answer's tokens follow. What comes after the last learned token is left out.
 * Throws ERR_TOKENIZER when the template fails, and when it writes earlier turns differently once others follow (the spans could not be told).
 */
export function encodeConversation(tokenizer: Tokenizer, messages: readonly ChatMessage[]): LearnedTokens {
  const pieces = answerSpans(tokenizer, messages).flatMap(({ before, answer, isLast }) => [
    { ids: tokenizer.encode(before), learned: false },
    ...answerPieces(tokenizer, answer, isLast),
  ]);
  return join(pieces);
}

export interface AnswerSpan {
  before: string; // what stands between the answer before (or the start) and this one
  answer: string; // what the template writes for the assistant's turn, end mark included
  isLast: boolean; // nothing follows it
}

/** The rendered text cut where the assistant's turns begin and end. Throws as encodeConversation does; much quicker. */
export function answerSpans(tokenizer: Tokenizer, messages: readonly ChatMessage[]): AnswerSpan[] {
  const whole = tokenizer.chat(messages);
  const spans: AnswerSpan[] = [];
  let at = 0;
  messages.forEach(({ role }, turn) => {
    if (role !== "assistant") return;
    const prompt = tokenizer.chat(messages.slice(0, turn), { addGenerationPrompt: true });
    const upTo = tokenizer.chat(messages.slice(0, turn + 1));
    if (!upTo.startsWith(prompt) || !whole.startsWith(upTo) || prompt.length < at) throw changingTemplate(turn);
    spans.push({ before: whole.slice(at, prompt.length), answer: whole.slice(prompt.length, upTo.length), isLast: turn === messages.length - 1 });
    at = upTo.length;
  });
  return spans;
}

/** The same of plain text: the prompt, then the response and the end-of-text token, which are learned. */
export function encodeCompletion(tokenizer: Tokenizer, prompt: string, response: string): LearnedTokens {
  return join([
    { ids: tokenizer.startIds, learned: false },
    { ids: tokenizer.encode(prompt), learned: false },
    { ids: Int32Array.from([...tokenizer.encode(response), tokenizer.eosId]), learned: true },
  ]);
}

// --- internal ---

interface Piece {
  ids: Int32Array;
  learned: boolean;
}

/** An assistant's turn: learned through its first end-of-text token. The last turn gets one where the template writes none. */
function answerPieces(tokenizer: Tokenizer, text: string, isLast: boolean): Piece[] {
  const ids = tokenizer.encode(text);
  const end = ids.indexOf(tokenizer.eosId);
  if (end < 0) return [{ ids: isLast ? Int32Array.from([...ids, tokenizer.eosId]) : ids, learned: true }];
  return [
    { ids: ids.subarray(0, end + 1), learned: true },
    { ids: ids.subarray(end + 1), learned: false },
  ];
}

function join(pieces: readonly Piece[]): LearnedTokens {
  const used = pieces.slice(0, pieces.findLastIndex(({ learned }) => learned) + 1);
  const size = used.reduce((sum, { ids }) => sum + ids.length, 0);
  const [tokens, learned] = [new Int32Array(size), new Uint8Array(size)];
  let at = 0;
  for (const piece of used) {
    tokens.set(piece.ids, at);
    if (piece.learned) learned.fill(1, at, at + piece.ids.length);
    at += piece.ids.length;
  }
  learned[0] = 0; // nothing comes before the first token to predict it from
  return { tokens, learned };
}

function changingTemplate(turn: number): PrimekitError {
  return new PrimekitError(
    "ERR_TOKENIZER",
    `The chat template writes message ${turn + 1} differently when others follow it, so which tokens are the assistant's cannot be told. Give the turns as separate rows, or another chat template.`,
  );
}
