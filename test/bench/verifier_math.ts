// How far the math verifier agrees with labels and references, and how fast it is: `bun test/bench/verifier_math.ts`. Needs ../shared/data.
import { performance } from "node:perf_hooks";
import { table } from "../../ts/cli/format.ts";
import { mathVerifier } from "../../ts/verifiers/math.ts";
import type { Item } from "../../ts/verifiers/types.ts";
import { hasData } from "../verifiers/math/data.ts";
import { DISAGREEMENTS } from "../verifiers/math/disagreements.ts";
import { agrees, type Case, judgeCompletions, judgePairs, judgeReferences } from "../verifiers/math/measure.ts";

const boxed = mathVerifier();
const lenient = mathVerifier({ extract: "lenient" });

const share = (cases: Case[]) => {
  const right = cases.filter(agrees).length;
  return [`${right} of ${cases.length}`, `${((100 * right) / cases.length).toFixed(2)} %`];
};
const unjudged = (cases: Case[]) => String(cases.filter(({ verdict }) => verdict.outcome === "error" || verdict.outcome === "timeout").length);
const print = (text = "") => process.stdout.write(`${text}\n`);

if (hasData) {
  const pairs = await judgePairs(lenient);
  const completions = await judgeCompletions(lenient);
  print(
    table([
      ["labelled answers", "agree", "", "unjudged"],
      ["pairs.jsonl", ...share(pairs), unjudged(pairs)],
      ["gsm8k_completions.jsonl", ...share(completions), unjudged(completions)],
    ]),
  );
  print("\ndisagreements:");
  for (const one of pairs.filter((pair) => !agrees(pair))) {
    const { right, reason } = DISAGREEMENTS[one.id] ?? { right: "nobody yet", reason: "not explained" };
    print(`  row ${one.id}: labelled ${one.expected}, here ${one.verdict.outcome}; we hold the ${right} right. ${reason}`);
  }
  const sets = await judgeReferences(boxed);
  const rows = Object.entries(sets).map(([name, cases]) => {
    const [equal, different] = [true, false].map((expected) => cases.filter((one) => one.expected === expected));
    return [name, ...share(equal), ...share(different), unjudged(cases)];
  });
  print(`\n${table([["references", "equal to rewritings", "", "different from changes", "", "unjudged"], ...rows])}`);
  const failures = Object.values(sets)
    .flat()
    .filter((one) => !agrees(one));
  for (const { name, item, verdict } of failures) print(`  ${name}: ${item.response} against ${item.answer}: ${verdict.reason}`);
  const items = Object.values(sets).flatMap((cases) => cases.map(({ item }) => item));
  print(`\nordinary answers: ${(await rate(items, 3)).toFixed(0)} checks/s (${items.length} of them, without the symbolic step)`);
}
print(`through the symbolic step: ${(await rate(symbolicItems(600), 3)).toFixed(0)} checks/s (2 processes)`);
await Promise.all([boxed.close?.(), lenient.close?.()]);

/** The best of a few runs, in items a second. */
async function rate(items: Item[], runs: number): Promise<number> {
  await boxed.verify(items.slice(0, 50));
  let best = 0;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await boxed.verify(items);
    best = Math.max(best, (1000 * items.length) / (performance.now() - start));
  }
  return best;
}

/** Equal formulas that no earlier step can tell: products to expand, fractions to cancel, identities of sines, all different. */
function symbolicItems(count: number): Item[] {
  const kinds: ((a: number, b: number) => [string, string])[] = [
    (a, b) => [`(x+${a})(x-${b})`, `x^2+${a - b}x-${a * b}`.replace("+-", "-").replace("+0x", "")],
    (a, b) => [`(${a}x+${b}y)^2`, `${a * a}x^2+${2 * a * b}xy+${b * b}y^2`],
    (a, b) => [`\\frac{${a}}{${b}n+${b * a}}`, `\\frac{${a}}{${b}(n+${a})}`],
    (a, b) => [`${a}\\sin^2 t + ${a}\\cos^2 t + ${b}t`, `${b}t+${a}`],
    (a, b) => [`\\frac{n(n+${a})}{${b + 1}}`, `\\frac{n^2+${a}n}{${b + 1}}`],
    (a, b) => [`\\sqrt{${a}}(k+${b})`, `\\sqrt{${a}}k+${b}\\sqrt{${a}}`],
  ];
  return Array.from({ length: count }, (_, i) => {
    const [answer, gold] = kinds[i % kinds.length](2 + (Math.floor(i / 6) % 17), 3 + (Math.floor(i / 102) % 23));
    return { prompt: "", response: `\\boxed{${answer}}`, answer: gold };
  });
}
