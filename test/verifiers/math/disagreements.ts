// Labelled pairs (by line of pairs.jsonl, from 0) where the verifier and the label differ, and why we hold the verdict or the label right.

export interface Disagreement {
  ours: "correct" | "not correct";
  right: "verifier" | "label";
  reason: string;
}

export const DISAGREEMENTS: Record<number, Disagreement> = {
  3: {
    ours: "not correct",
    right: "verifier",
    reason: "The reference has a comma and no point: it is read as two answers. Only an answer may have a decimal comma, against a reference with a point.",
  },
  12: {
    ours: "correct",
    right: "verifier",
    reason: "The value is the reference; the label tests that a $…$ may not span lines, which says nothing of the answer.",
  },
  83: {
    ours: "not correct",
    right: "label",
    reason:
      'Two boxes joined by plus signs are read as the last one alone; only commas, "and" and "or" join boxes. The text is damaged, and a rule for it would not pay.',
  },
  127: {
    ours: "not correct",
    right: "label",
    reason: 'The reference is a letter and then words without any mark between them, which cannot be told from words that begin with "A".',
  },
  143: { ours: "correct", right: "verifier", reason: "The same three answers in another order; the label's grader compares normalised strings only." },
  200: {
    ours: "not correct",
    right: "verifier",
    reason: "The answer is not the reference by any reading (an integer against a quarter); the label records a fault of its grader.",
  },
  222: { ours: "correct", right: "verifier", reason: "The value is the reference; the label asks for reasoning in tags, which is a matter of format." },
};
