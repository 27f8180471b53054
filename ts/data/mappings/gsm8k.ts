// GSM8K: `question`, `answer` (worked, ends in "#### N").
import { badRow, hasColumns, textAt } from "./fields.ts";
import type { Mapping } from "./types.ts";

const FINAL = /^####\s*(.+?)\s*$/m;

export const gsm8k: Mapping = {
  name: "gsm8k",
  matches: (row) => hasColumns(row, "question", "answer") && FINAL.test(String(row.answer)),
  map: (row) => {
    const worked = textAt(row, "answer");
    const final = FINAL.exec(worked);
    if (!final) throw badRow("The field answer has no line that begins with ####.");
    return { prompt: textAt(row, "question"), answer: final[1].replaceAll(",", ""), response: workedAnswer(worked, final), ability: "math" };
  },
};

// --- internal ---

/** The worked answer as a model should write it: without the calculator's <<…>> marks, the final number in a box. */
function workedAnswer(worked: string, final: RegExpExecArray): string {
  const steps = worked
    .slice(0, final.index)
    .replaceAll(/<<[^>]*>>/g, "")
    .trimEnd();
  return `${steps}${steps && "\n"}\\boxed{${final[1]}}`;
}
