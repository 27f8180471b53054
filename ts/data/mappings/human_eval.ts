// HumanEval: `task_id, prompt` (a function's head), `entry_point, canonical_solution, test`.
import { codeTruth } from "./code_truth.ts";
import { hasColumns, optionalText, textAt } from "./fields.ts";
import type { Mapping } from "./types.ts";

export const humanEval: Mapping = {
  name: "humaneval",
  matches: (row) => hasColumns(row, "prompt", "entry_point", "test"),
  map: (row) => {
    const head = textAt(row, "prompt");
    const entryPoint = textAt(row, "entry_point");
    const body = optionalText(row, "canonical_solution");
    return {
      id: optionalText(row, "task_id"),
      prompt: `Complete the following Python function.\n\n\`\`\`python\n${head.trim()}\n\`\`\``,
      answer: codeTruth({ tests: [`${textAt(row, "test").trim()}\n\ncheck(${entryPoint})`], prefix: head, entry_point: entryPoint }),
      response: body === undefined ? undefined : `\`\`\`python\n${head}${body.trimEnd()}\n\`\`\``,
      ability: "code",
    };
  },
};
