// MBPP: a task, asserts in `test_list`, and imports they need; `instruction`, `prompt` or `text` says what to write.
import { describe } from "../../errors.ts";
import { codeTruth } from "./code_truth.ts";
import { badRow, hasColumns, optionalText, textAt } from "./fields.ts";
import type { Mapping, SourceRow } from "./types.ts";

export const mbpp: Mapping = {
  name: "mbpp",
  matches: (row) => hasColumns(row, "test_list") && TASKS.some((name) => hasColumns(row, name)),
  map: (row) => {
    const tests = lines(row, "test_list");
    if (tests.length === 0) throw badRow("The field test_list holds no test.");
    const setup = [...(hasColumns(row, "test_imports") ? lines(row, "test_imports") : []), optionalText(row, "test_setup_code")].filter(Boolean).join("\n");
    const code = optionalText(row, "code");
    return {
      id: hasColumns(row, "task_id") ? `MBPP/${textAt(row, "task_id")}` : undefined,
      prompt: instruction(row, tests),
      answer: codeTruth({ tests, ...(setup && { setup }) }),
      response: code === undefined ? undefined : `\`\`\`python\n${code.trim()}\n\`\`\``,
      ability: "code",
    };
  },
};

// --- internal ---

const TASKS = ["instruction", "prompt", "text"];

/** What to write, with the first test, which is what tells the function's name. */
function instruction(row: SourceRow, tests: readonly string[]): string {
  const name = TASKS.find((task) => hasColumns(row, task)) ?? "text";
  return name === "instruction" ? textAt(row, name) : `${textAt(row, name).trim()}\n${tests[0]}`;
}

function lines(row: SourceRow, name: string): string[] {
  const value = row[name] ?? [];
  if (!Array.isArray(value) || value.some((line) => typeof line !== "string"))
    throw badRow(`The field ${name} must hold a list of texts, but holds ${describe(value)}.`);
  return value;
}
