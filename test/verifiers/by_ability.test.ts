// Rows go to the verifier of their ability, and the verdicts come back in order.
import { expect, test } from "bun:test";
import { verifierByAbility } from "../../ts/verifiers/by_ability.ts";
import type { Item, Verifier } from "../../ts/verifiers/types.ts";

function named(name: string, log: string[] = []): Verifier {
  return {
    name,
    async verify(items, { signal, onProgress } = {}) {
      signal?.throwIfAborted();
      for (const i of items.keys()) onProgress?.(i + 1, items.length);
      return items.map(({ response }) => ({ score: 1, outcome: "correct", extracted: response, reason: `Judged by ${name}.` }));
    },
    close: async () => {
      log.push(name);
    },
  };
}

const item = (response: string, ability?: string): Item => ({ prompt: "", response, answer: "", ability });

test("order, progress and rows that no verifier is named for", async () => {
  const progress: string[] = [];
  const verifier = verifierByAbility({ math: named("m"), code: named("c") });
  const items = [item("a", "code"), item("b", "math"), item("c"), item("d", "code"), item("e", "poetry")];
  const verdicts = await verifier.verify(items, { onProgress: (done, total) => progress.push(`${done}/${total}`) });
  expect(verdicts.map(({ outcome, extracted, reason }) => [outcome, extracted, reason])).toEqual([
    ["correct", "a", "Judged by c."],
    ["correct", "b", "Judged by m."],
    ["error", undefined, "The item names no ability (known: math, code)."],
    ["correct", "d", "Judged by c."],
    ["error", undefined, 'There is no verifier for the ability "poetry" (known: math, code).'],
  ]);
  expect(progress.at(-1)).toBe("5/5");
  expect(await verifier.verify([])).toEqual([]);
  expect(verifier.name).toBe("by ability (math, code)");
});

test("an ability is a name of its own, never one that every object has", async () => {
  const [verdict] = await verifierByAbility({ math: named("m") }).verify([item("a", "constructor")]);
  expect(verdict.outcome).toBe("error");
});

test("abort and close reach them all", async () => {
  const log: string[] = [];
  const verifier = verifierByAbility({ math: named("m", log), code: named("c", log) });
  const reason = new Error("enough");
  await expect(verifier.verify([item("a", "math")], { signal: AbortSignal.abort(reason) })).rejects.toThrow("enough");
  await verifier.close?.();
  expect(log).toEqual(["m", "c"]);
  expect(() => verifierByAbility({})).toThrow("verifiers must be at least one verifier");
});
