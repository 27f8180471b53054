// 06: three verifiers: mathematics, Python code, and one of your own.   bun examples/06_verifiers.ts   (about 10 seconds)
//
// A verifier reads texts and says which answers are right; that is all PRIME ever learns from. A wrong verdict is a wrong lesson, so each one tells
// "wrong" from "timeout" and "error" (nothing was judged), and gives its reason.
import { verifierByAbility } from "../ts/verifiers/by_ability.ts";
import { codeVerifier } from "../ts/verifiers/code.ts";
import { mathVerifier } from "../ts/verifiers/math.ts";
import type { Item, Verdict, Verifier } from "../ts/verifiers/types.ts";

// 1. Mathematics: the last \boxed{}, compared as a value and not as a text.
const math = mathVerifier();
await show("mathematics", math, [
  mathItem("so we get \\boxed{\\dfrac{1}{2}}", "0.5"),
  mathItem("hence \\boxed{(x+1)^2}", "x^2+2x+1"),
  mathItem("that makes \\boxed{0.5}", "50"), // not a hundred times as much
  mathItem("the answer is one half", "0.5"), // not in a box
]);

// 2. Code: the last Python block, run against tests in a sandbox. An endless loop is a timeout; a program that leaves early has passed nothing.
const code = codeVerifier({ timeLimit: 2, score: "fraction" });
const square = JSON.stringify({ fn_name: "square", inputs: [[3], [-4]], outputs: [9, 16] }); // call a function
const double = JSON.stringify({ inputs: ["21\n"], outputs: ["42\n"] }); // standard input to standard output
const asserts = JSON.stringify({ tests: ["assert sort([3, 1, 2]) == [1, 2, 3]", "assert sort([]) == []"] }); // snippets that raise
await show("code", code, [
  codeItem("def square(x):\n    return x * x", square),
  codeItem("def square(x):\n    return 3 * x", square),
  codeItem("print(2 * int(input()))", double),
  codeItem("while True: pass", double),
  codeItem("def sort(x):\n    return sorted(x)", asserts),
  codeItem("import os\nos._exit(0)", asserts),
  codeItem("class Yes(list):\n    def __eq__(self, other): return True\ndef sort(x):\n    return Yes([7])", asserts), // equal to everything? not here
  codeItem("def sort(x):\n    return sorted(x)", JSON.stringify({ tests: [] })), // nothing to judge by
]);

// 3. One of your own is one function: here, the answer must be a haiku's three lines.
const threeLines: Verifier = {
  name: "three lines",
  verify: async (items) =>
    items.map(({ response }) => {
      const lines = response.split("\n").filter((line) => line.trim() !== "").length;
      const right = lines === 3;
      return { score: right ? 1 : 0, outcome: right ? "correct" : "wrong", extracted: response, reason: `It has ${lines} lines.` };
    }),
};

// 4. Mixed data: each row names its ability, and so its verifier. A task takes this as it takes any other: datasetTask({ verifier, … }).
const all = verifierByAbility({ math, code, poetry: threeLines });
await show("all in one batch", all, [
  { ...mathItem("\\boxed{7}", "7"), ability: "math" },
  { prompt: "", response: "An old silent pond\nA frog jumps into the pond\nSplash! Silence again", answer: "", ability: "poetry" },
  { ...codeItem("print(2 * int(input()))", double), ability: "code" },
]);
await all.close?.();

async function show(title: string, verifier: Verifier, items: Item[]): Promise<void> {
  const verdicts = await verifier.verify(items);
  console.log(`\n${title}`);
  for (const [i, verdict] of verdicts.entries()) console.log(line(items[i], verdict));
}

function line({ response }: Item, { outcome, score, reason }: Verdict): string {
  const text = response.replaceAll("```", "").replace("python\n", "").replaceAll("\n", " ⏎ ");
  return `  ${outcome.padEnd(8)} ${score.toFixed(1)}  ${text.slice(0, 60).padEnd(60)}  ${reason}`;
}

function mathItem(response: string, answer: string): Item {
  return { prompt: "", response, answer };
}

function codeItem(program: string, answer: string): Item {
  return { prompt: "", response: `\`\`\`python\n${program}\n\`\`\``, answer };
}
