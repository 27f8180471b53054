// MATH: the problems of Hendrycks et al. in the layouts they come in; the answer in a column of its own, or in the solution's last \boxed{}.
import { lastBoxed } from "../../verifiers/boxed.ts";
import { badRow, hasColumns, levelOf, optionalText, textAt } from "./fields.ts";
import type { Mapping } from "./types.ts";

export const math: Mapping = {
  name: "math",
  matches: (row) => hasColumns(row, "problem") && (hasColumns(row, "solution") || (hasColumns(row, "answer") && hasColumns(row, "type"))),
  map: (row) => {
    const solution = optionalText(row, "solution");
    const column = ["expected_answer", "answer"].find((name) => hasColumns(row, name));
    return {
      id: optionalText(row, "id") ?? optionalText(row, "unique_id"),
      prompt: textAt(row, "problem"),
      answer: column ? textAt(row, column) : boxedIn(solution),
      response: solution,
      ability: "math",
      level: levelOf(row.level ?? row.difficulty),
    };
  },
};

// --- internal ---

function boxedIn(solution: string | undefined): string {
  const boxed = lastBoxed(solution ?? "") ?? /\\boxed\s+([^\s$.,]+)/.exec(solution ?? "")?.[1]; // a few solutions write "\boxed 3"
  if (boxed === undefined || boxed.trim() === "") throw badRow("The field solution has no \\boxed{} answer, and there is no answer column.");
  return boxed.trim();
}
