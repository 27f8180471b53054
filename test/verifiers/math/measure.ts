// How far the math verifier agrees with labels and references: what the tests ask and the bench prints.
import { mathVerifier } from "../../../ts/verifiers/math.ts";
import type { Item, Verdict, Verifier } from "../../../ts/verifiers/types.ts";
import { type Pair, readCompletions, readPairs, readReferences } from "./data.ts";
import { changes, rewritings } from "./rewrite.ts";

export interface Case {
  name: string; // set, row, what was done
  expected: boolean;
  item: Item;
  verdict: Verdict;
}

/** Verdicts on the labelled pairs, read leniently; a row's `precision` is the tolerance its grader was asked for. */
export async function judgePairs(verifier: Verifier): Promise<(Case & { id: number })[]> {
  const loose = mathVerifier({ extract: "lenient", decimalTolerance: 0.01 });
  const pairs = readPairs();
  const cases = await judged(verifier, pairs);
  const rounded = pairs.filter((pair) => pair.params?.precision === 2);
  const again = await judged(loose, rounded);
  await loose.close?.();
  return cases.map((one) => again.find(({ id }) => id === one.id) ?? one);
}

export const judgeCompletions = (verifier: Verifier): Promise<(Case & { id: number })[]> => judged(verifier, readCompletions());

/** Every reference of the benchmarks against its rewritings (which must be equal) and changes (which must not), by set. */
export async function judgeReferences(verifier: Verifier): Promise<Record<string, Case[]>> {
  const sets: Record<string, Case[]> = {};
  for (const [set, golds] of Object.entries(readReferences())) {
    const cases = golds.flatMap((gold, row) => [
      ...Object.entries(rewritings(gold)).map(([how, text]) => ({ name: `${set} ${row}: ${how}`, expected: true, item: boxed(text, gold) })),
      ...Object.entries(changes(gold)).map(([how, text]) => ({ name: `${set} ${row}: ${how}`, expected: false, item: boxed(text, gold) })),
    ]);
    const verdicts = await verifier.verify(cases.map(({ item }) => item));
    sets[set] = cases.map((one, i) => ({ ...one, verdict: verdicts[i] }));
  }
  return sets;
}

export const agrees = ({ expected, verdict }: Case): boolean => (verdict.outcome === "correct") === expected;

// --- internal ---

const boxed = (answer: string, gold: string): Item => ({ prompt: "", response: `So it is \\boxed{${answer}}.`, answer: gold });

async function judged(verifier: Verifier, pairs: Pair[]): Promise<(Case & { id: number })[]> {
  const items = pairs.map(({ gold, prediction }) => ({ prompt: "", response: prediction, answer: gold }));
  const verdicts = await verifier.verify(items);
  return pairs.map(({ id, expected }, i) => ({ id, name: `row ${id}`, expected, item: items[i], verdict: verdicts[i] }));
}
