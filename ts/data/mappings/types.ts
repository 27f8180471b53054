// A mapping makes a problem (and, where there is one, a worked answer) of a row of a dataset.
import type { ChatMessage } from "../../tokenizer/chat.ts";

export type SourceRow = Readonly<Record<string, unknown>>;

/** What a row says. A prompt is one user message; `messages` are given where there are more, or a system message. */
export interface MappedRow {
  id?: string;
  prompt?: string;
  messages?: ChatMessage[];
  /** The reference answer: text or LaTeX; for code, tests as JSON (see codeTruth). */
  answer?: string;
  /** A worked answer, for fine-tuning. */
  response?: string;
  /** "math", "code", …: which verifier judges it. */
  ability?: string;
  /** Difficulty, from 1 up. */
  level?: number;
}

/** Throws an error whose message says what is wrong with the row; the row is then skipped, counted and listed. */
export type MapRow = (row: SourceRow) => MappedRow;

export interface Mapping {
  name: string;
  /** Whether a row with these columns is of this kind. Asked in the order of the table: the more particular first. */
  matches(row: SourceRow): boolean;
  map: MapRow;
}

/** Field paths instead of a function: { prompt: "question", answer: "meta.final" }. */
export type FieldMapping = { [field in keyof MappedRow]?: string };
