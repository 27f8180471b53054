// Eurus-2-RL-Data: the layout with prompt messages and reward_model, as veRL's datasets have it, and the older one with instruction and reference.
import { describe } from "../../errors.ts";
import { badRow, hasColumns, messagesOf, optionalText, textAt, valueAt } from "./fields.ts";
import type { Mapping, SourceRow } from "./types.ts";

/** `data_source, prompt[{role, content}], ability, reward_model{ground_truth}, extra_info{index, split}`. */
export const eurus: Mapping = {
  name: "eurus",
  matches: (row) => hasColumns(row, "prompt", "reward_model"),
  map: (row) => {
    const index = valueAt(row, "extra_info.index");
    const source = optionalText(row, "data_source");
    return {
      id: index === undefined || index === null ? undefined : [source, valueAt(row, "extra_info.split"), index].filter(Boolean).join("-"),
      messages: messagesOf(row.prompt, "prompt"),
      answer: groundTruth(row, "reward_model.ground_truth"),
      ability: optionalText(row, "ability") ?? abilityOf(source),
    };
  },
};

/** `id, task, source, instruction, reference`. */
export const eurusOld: Mapping = {
  name: "eurus-old",
  matches: (row) => hasColumns(row, "instruction", "reference"),
  map: (row) => ({
    id: optionalText(row, "id"),
    prompt: textAt(row, "instruction"),
    answer: groundTruth(row, "reference"),
    ability: /cod/i.test(String(row.task ?? "")) ? "code" : (abilityOf(optionalText(row, "source")) ?? "math"),
  }),
};

// --- internal ---

/** Text; tests that were stored as an object are written as the JSON they are elsewhere. */
function groundTruth(row: SourceRow, path: string): string {
  const value = valueAt(row, path);
  if (typeof value !== "object" || value === null) return textAt(row, path);
  if (Array.isArray(value)) throw badRow(`The field ${path} must hold a text, but holds ${describe(value)}.`);
  return JSON.stringify(value);
}

function abilityOf(source: string | undefined): string | undefined {
  if (source === undefined) return undefined;
  return /^(codecontests|apps|codeforces|taco)$/i.test(source) ? "code" : /math|numina|gsm8k/i.test(source) ? "math" : undefined;
}
