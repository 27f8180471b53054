// AIME and AMC as AI-MO publishes them, and OlympiadBench. MATH-500 and Minerva are of the MATH layout (math.ts).
import { describe } from "../../errors.ts";
import { badRow, hasColumns, optionalText, textAt } from "./fields.ts";
import type { Mapping } from "./types.ts";

/**
 * AIME, AMC: `question` or `problem`, `answer` (text, or a number such as 142.0), `url` of the contest. The `solution` column strings several people's
 * solutions together, and the last box is often another number: it is no response to learn from.
 */
export const competition: Mapping = {
  name: "competition",
  matches: (row) => hasColumns(row, "answer", "url") && (hasColumns(row, "question") || hasColumns(row, "problem")),
  map: (row) => ({
    id: /\/(\d{4}_[^/]+)\/Problem_(\d+)/.exec(String(row.url))?.slice(1).join("-") ?? optionalText(row, "id"),
    prompt: textAt(row, hasColumns(row, "question") ? "question" : "problem"),
    answer: textAt(row, "answer"),
    ability: "math",
  }),
};

/** OlympiadBench: `question`, `context`, `final_answer` (a list); several answers are joined by commas. */
export const olympiad: Mapping = {
  name: "olympiad",
  matches: (row) => hasColumns(row, "question", "final_answer"),
  map: (row) => {
    const answers = row.final_answer;
    if (!Array.isArray(answers) || answers.length === 0 || answers.some((answer) => typeof answer !== "string" || answer.trim() === ""))
      throw badRow(`The field final_answer must hold a list of answers, but holds ${describe(answers)}.`);
    const context = optionalText(row, "context");
    return {
      id: optionalText(row, "id"),
      prompt: `${context === undefined ? "" : `${context}\n\n`}${textAt(row, "question")}`,
      answer: answers.join(", "),
      ability: "math",
    };
  },
};
