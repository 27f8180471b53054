// A row of a dataset: what a mapping made of a record, checked.
import { describe, PrimekitError } from "../../errors.ts";
import { badRow, messagesOf } from "../mappings/fields.ts";
import type { MappedRow, MapRow, SourceRow } from "../mappings/index.ts";

export interface DatasetRow extends MappedRow {
  id: string; // the row's own, or FILE:LINE
  file: string;
  line: number;
}

export type Needed = "answer" | "response" | "ability";

/** Maps and checks a record. Throws an error whose message is the reason why it is no row. */
export function makeRow(map: MapRow, record: SourceRow, place: { name: string; file: string; line: number }, needs: readonly Needed[]): DatasetRow {
  const mapped: unknown = map(record);
  if (typeof mapped !== "object" || mapped === null) throw badRow(`The mapping must return an object with a prompt, but returned ${describe(mapped)}.`);
  const { prompt, messages, answer, response, ability, level, id } = mapped as MappedRow;
  if (messages === undefined && (typeof prompt !== "string" || prompt.trim() === "")) throw badRow(`The prompt must be a text, but is ${describe(prompt)}.`);
  for (const [name, value] of Object.entries({ answer, response, ability })) {
    if (value !== undefined && typeof value !== "string") throw badRow(`The ${name} must be a text, but is ${describe(value)}.`);
  }
  for (const name of needs) {
    if ((mapped as MappedRow)[name] === undefined)
      throw badRow(`The row has no ${name}${name === "ability" ? " (math or code), which says who judges it" : ""}.`);
  }
  const fields = {
    prompt: messages === undefined ? prompt : undefined,
    messages: messages && messagesOf(messages, "messages"),
    answer,
    response,
    ability,
    level,
  };
  const known = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  return { id: id === undefined ? `${place.name}:${place.line}` : String(id), file: place.file, line: place.line, ...known };
}

/** The reason in an error that a mapping threw, as a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof PrimekitError) return error.message;
  return `The mapping failed: ${error instanceof Error ? error.message.replace(/\.$/, "") : String(error)}.`;
}
