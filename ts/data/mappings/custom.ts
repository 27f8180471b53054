// A mapping written as field paths in a configuration.
import { PrimekitError } from "../../errors.ts";
import { didYouMean } from "../../suggest.ts";
import { levelOf, messagesOf, optionalText, textAt, valueAt } from "./fields.ts";
import type { FieldMapping, MapRow } from "./types.ts";

const FIELDS = ["id", "prompt", "messages", "answer", "response", "ability", "level"] as const;

/** Reads the fields at the given paths; a path that is given must be there in every row. Throws ERR_CONFIG for a field that is not known. */
export function mapFields(paths: FieldMapping): MapRow {
  for (const [field, path] of Object.entries(paths)) {
    if (!FIELDS.includes(field as (typeof FIELDS)[number]))
      throw new PrimekitError("ERR_CONFIG", `A data mapping has no field ${field}.${didYouMean(field, FIELDS)} There are ${FIELDS.join(", ")}.`);
    if (typeof path !== "string" || path === "") throw new PrimekitError("ERR_CONFIG", `The data mapping's field ${field} must name a column, as text.`);
  }
  if (paths.prompt === undefined && paths.messages === undefined)
    throw new PrimekitError("ERR_CONFIG", "A data mapping must say which column holds the prompt (or the messages).");
  return (row) => ({
    id: paths.id && optionalText(row, paths.id),
    prompt: paths.prompt && textAt(row, paths.prompt),
    messages: paths.messages ? messagesOf(valueAt(row, paths.messages), paths.messages) : undefined,
    answer: paths.answer && textAt(row, paths.answer),
    response: paths.response && textAt(row, paths.response),
    ability: paths.ability && optionalText(row, paths.ability),
    level: paths.level ? levelOf(valueAt(row, paths.level)) : undefined,
  });
}
