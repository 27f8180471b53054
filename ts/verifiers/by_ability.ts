// A verifier for mixed data: each row goes to the one its ability names.
import { rangeError } from "../errors.ts";
import type { Item, Verdict, Verifier } from "./types.ts";

/**
 * Hands every item to the verifier of its `ability`, the groups side by side; the verdicts come back in the items' order. An item whose ability is
 * missing or names no verifier gets the outcome "error". close() closes them all.
 */
export function verifierByAbility(verifiers: Readonly<Record<string, Verifier>>): Verifier {
  const abilities = Object.keys(verifiers);
  if (abilities.length === 0) throw rangeError("verifiers", "at least one verifier under the name of its ability", verifiers);
  return {
    name: `by ability (${abilities.join(", ")})`,
    async verify(items, { signal, onProgress } = {}) {
      const verdicts: Verdict[] = items.map((item) => unknownAbility(item, abilities));
      const judgedBy = new Map<string, number>(); // items judged so far, by ability
      const groups = abilities.map((ability) => [ability, Array.from(items.keys()).filter((i) => items[i].ability === ability)] as const);
      const unknown = items.length - groups.reduce((sum, [, rows]) => sum + rows.length, 0);
      const report = (ability: string, done: number) => {
        judgedBy.set(ability, done);
        onProgress?.(unknown + Array.from(judgedBy.values()).reduce((a, b) => a + b, 0), items.length);
      };
      const judgeGroup = async ([ability, rows]: (typeof groups)[number]) => {
        if (rows.length === 0 && !signal?.aborted) return;
        const group = rows.map((i) => items[i]);
        const results = await verifiers[ability].verify(group, { signal, onProgress: onProgress && ((done) => report(ability, done)) });
        for (const [k, i] of rows.entries()) verdicts[i] = results[k];
      };
      await Promise.all(groups.map(judgeGroup));
      return verdicts;
    },
    close: async () => {
      await Promise.all(abilities.map((ability) => verifiers[ability].close?.()));
    },
  };
}

// --- internal ---

function unknownAbility({ ability }: Item, known: readonly string[]): Verdict {
  const what = ability === undefined ? "The item names no ability" : `There is no verifier for the ability ${JSON.stringify(ability)}`;
  return { score: 0, outcome: "error", extracted: undefined, reason: `${what} (known: ${known.join(", ")}).` };
}
