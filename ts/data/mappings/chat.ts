// Conversations: `messages` or `conversations`, of { role, content } or { from, value }; Eurus-2-SFT-Data and most chat data.
import { badRow, hasColumns, messagesOf, optionalText } from "./fields.ts";
import type { Mapping } from "./types.ts";

/** The last assistant message is the response, what comes before it the prompt; a row that ends with the user has a prompt only. */
export const chat: Mapping = {
  name: "chat",
  matches: (row) => ["messages", "conversations"].some((name) => Array.isArray(row[name])),
  map: (row) => {
    const name = hasColumns(row, "messages") || !hasColumns(row, "conversations") ? "messages" : "conversations";
    const all = messagesOf(row[name], name);
    const system = optionalText(row, "system");
    if (system !== undefined && all[0].role !== "system") all.unshift({ role: "system", content: system });
    const answered = all[all.length - 1].role === "assistant";
    const messages = answered ? all.slice(0, -1) : all;
    if (!messages.some(({ role }) => role === "user")) throw badRow(`The field ${name} has no message of the user before the answer.`);
    return {
      id: optionalText(row, "id"),
      messages,
      response: answered ? all[all.length - 1].content : undefined,
      answer: optionalText(row, "answer"),
      ability: optionalText(row, "ability"),
    };
  },
};
