// Reading fields of a row: what is missing or of the wrong kind becomes the reason why the row is skipped.
import { describe, PrimekitError } from "../../errors.ts";
import type { ChatMessage } from "../../tokenizer/chat.ts";
import type { SourceRow } from "./types.ts";

/** Why a row cannot be used. */
export function badRow(reason: string): PrimekitError {
  return new PrimekitError("ERR_DATA", reason);
}

/** The value at a path ("extra_info.index"); a column whose own name has the dots comes first. Undefined where there is none. */
export function valueAt(row: SourceRow, path: string): unknown {
  if (Object.hasOwn(row, path)) return row[path];
  let value: unknown = row;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** A field that must hold text (numbers are written out). */
export function textAt(row: SourceRow, path: string): string {
  const found = valueAt(row, path);
  if (found === undefined) throw badRow(`There is no field ${path}; the row has ${Object.keys(row).join(", ")}.`);
  const value = asText(found);
  if (value === undefined) throw badRow(`The field ${path} must hold a text, but holds ${describe(found)}.`);
  if (value.trim() === "") throw badRow(`The field ${path} is empty.`);
  return value;
}

/** The same for a field that may be missing, null or empty. */
export function optionalText(row: SourceRow, path: string): string | undefined {
  const value = valueAt(row, path);
  return value === undefined || value === null || value === "" ? undefined : textAt(row, path);
}

/** Chat messages, written { role, content } or { from, value }. */
export function messagesOf(value: unknown, path: string): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0) throw badRow(`The field ${path} must hold a list of messages, but holds ${describe(value)}.`);
  return value.map((entry: Record<string, unknown> | null, i) => {
    const role = entry?.role ?? entry?.from;
    const content = entry?.content ?? entry?.value;
    if (typeof role !== "string" || typeof content !== "string")
      throw badRow(`Message ${i + 1} of the field ${path} has no role (or from) and content (or value).`);
    return { role: ROLES[role] ?? role, content };
  });
}

/** A level of difficulty from a number, or from text with a number in it ("Level 5"). */
export function levelOf(value: unknown): number | undefined {
  const level = typeof value === "number" ? value : Number(/\d+/.exec(String(value ?? ""))?.[0]);
  return Number.isFinite(level) && level >= 1 ? Math.round(level) : undefined;
}

/** Whether a row has all of these columns. */
export function hasColumns(row: SourceRow, ...names: string[]): boolean {
  return names.every((name) => Object.hasOwn(row, name));
}

// --- internal ---

const ROLES: Record<string, string> = { human: "user", gpt: "assistant", model: "assistant" };

function asText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}
