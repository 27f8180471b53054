// What a comparison found, and by which step.

/** Steps from cheap to dear. "structure" is the shape of the answers: brackets, number of items, units, names. */
export const STEPS = ["text", "exact value", "numeric", "structure", "symbolic", "sampling"] as const;
export type Step = (typeof STEPS)[number];

export interface Decision {
  equal: boolean | undefined; // undefined: not decided (yet)
  step: Step; // for "not equal" the step that told them apart; for "equal" the dearest one needed
  note: string; // completes "… because "
}

export interface CompareOptions {
  /** Largest relative difference between a decimal and an irrational number it stands for. */
  tolerance: number;
  /** The same between two rational numbers of which one is written as a decimal; 0 asks for equality. */
  decimalTolerance: number;
}

/** A pair that only the symbolic step can judge, as MathJSON. */
export interface Question {
  key: string;
  left: unknown;
  right: unknown;
}

/** One comparison: its options, what the symbolic step has answered so far, and the first question still open. */
export interface Context {
  options: CompareOptions;
  answers: ReadonlyMap<string, boolean | undefined>;
  open: Question | undefined;
}

export const decide = (equal: boolean | undefined, step: Step, note: string): Decision => ({ equal, step, note });

/** True when all are; the parts are asked one after the other and the first difference ends it. */
export function every(parts: Iterable<Decision>, note: string): Decision {
  let step: Step = "structure";
  let undecided: Decision | undefined;
  for (const part of parts) {
    if (part.equal === false) return part;
    if (part.equal === undefined) undecided ??= part;
    if (STEPS.indexOf(part.step) > STEPS.indexOf(step)) step = part.step;
  }
  return undecided ?? decide(true, step, note);
}

/** Can the items of the two lists be paired off so that each pair is equal? */
export function matchItems<T>(left: readonly T[], right: readonly T[], compare: (a: T, b: T) => Decision): Decision {
  if (left.length !== right.length) return decide(false, "structure", `there are ${right.length} items, not ${left.length}`);
  const free = [...right];
  const found: Decision[] = [];
  for (const item of left) {
    const decisions = free.map((other) => compare(item, other));
    const at = decisions.findIndex((decision) => decision.equal === true);
    const open = decisions.find((decision) => decision.equal === undefined);
    if (at < 0 && open) return open;
    if (at < 0) return decide(false, left.length === 1 ? decisions[0].step : "structure", left.length === 1 ? decisions[0].note : "an item has no counterpart");
    found.push(decisions[at]);
    free.splice(at, 1);
  }
  return every(found, left.length === 1 ? found[0].note : "every item has its counterpart");
}
