// Rows of prompt, answer and response under their usual names: what people write themselves.
import { badRow, hasColumns, levelOf, messagesOf, optionalText, textAt } from "./fields.ts";
import type { Mapping, SourceRow } from "./types.ts";

const PROMPT = ["prompt", "question", "problem", "instruction"];
const ANSWER = ["answer", "final_answer", "ground_truth", "target"];
const RESPONSE = ["response", "completion", "output"];

/** `prompt` (text or messages), `answer` (the reference) and/or `response` (a worked answer); also under the names above. */
export const plain: Mapping = {
  name: "plain",
  matches: (row) => first(row, PROMPT) !== undefined,
  map: (row) => {
    const [prompt, answer, response] = [PROMPT, ANSWER, RESPONSE].map((names) => first(row, names));
    if (prompt === undefined) throw badRow(`There is no prompt: the row has none of ${PROMPT.join(", ")}.`);
    return {
      id: optionalText(row, "id"),
      ...(Array.isArray(row[prompt]) ? { messages: messagesOf(row[prompt], prompt) } : { prompt: textAt(row, prompt) }),
      answer: answer === undefined ? undefined : optionalText(row, answer),
      response: response === undefined ? undefined : optionalText(row, response),
      ability: optionalText(row, "ability"),
      level: levelOf(row.level ?? row.difficulty),
    };
  },
};

// --- internal ---

function first(row: SourceRow, names: readonly string[]): string | undefined {
  return names.find((name) => hasColumns(row, name));
}
