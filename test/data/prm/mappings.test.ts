// Records of the published formats, as examples; and records that are none.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { alignSteps, type PrmExample, splitSteps } from "../../../ts/data/prm/example.ts";
import { type PrmMappingName, type PrmRecord, prmMappings } from "../../../ts/data/prm/mappings.ts";
import { readPrmExamples } from "../../../ts/data/prm/read.ts";

const options = { split: "auto", separator: "\n\n" } as const;
const read = (record: PrmRecord, mapping: PrmMappingName = "auto"): PrmExample[] => prmMappings[mapping](record, "f.jsonl:3", options);
const user = (content: string) => [{ role: "user", content }];

test("plain: a response is cut, steps are joined, labels are read in any spelling", () => {
  expect(read({ prompt: "Q", response: "a\n\nb", label: true })).toEqual([{ id: "f.jsonl:3", prompt: "Q", steps: ["a\n\n", "b"], label: 1, group: '"Q"' }]);
  expect(read({ id: 7, question: "Q", steps: ["a", "b\n"], labels: ["+", null] })).toEqual([
    { id: "7", prompt: user("Q"), steps: ["a\n\n", "b\n"], stepLabels: [1, undefined], group: JSON.stringify(user("Q")) },
  ]);
  expect(read({ prompt: "Q", response: " a\n b ", steps: ["a", "b"], labels: [1, 0.25], label: "wrong", group: "g" })[0]).toMatchObject({
    steps: [" a\n ", "b "],
    stepLabels: [1, 0.25],
    label: 0,
    group: "g",
  });
});

test("plain: rollouts of a run carry the verdict as score; a time-out is no label", () => {
  expect(read({ id: "r", prompt: "Q", response: "a", score: 1, outcome: "correct", truncated: true })[0]).toMatchObject({ label: 1, open: true });
  expect(read({ prompt: "Q", response: "a", score: 0, outcome: "timeout" })[0]).not.toHaveProperty("label");
});

test("pairs become two answers of one group", () => {
  const [chosen, rejected] = read({ id: "p", prompt: "Q", chosen: "yes", rejected: "no" });
  expect([chosen.label, rejected.label, chosen.group === rejected.group, chosen.steps[0], rejected.id]).toEqual([1, 0, true, "yes", "p:rejected"]);
  const whole = read({ chosen: [...user("Q"), { role: "assistant", content: "yes" }], rejected: [...user("Q"), { role: "assistant", content: "no" }] });
  expect(whole[0].prompt).toEqual(user("Q"));
});

test("EurusPRM: a conversation with one label, or with labels of its steps", () => {
  const response = [...user("Q"), { role: "assistant", content: "Step 1: a\n\nStep 2: b\n\nStep 3: c" }];
  const stage1 = { response, label: 0, "instruction dataset": "MATH", "generator model": "Llama-3.1-8B-Inst" }; // the columns of its card
  expect(read(stage1)).toMatchObject([{ prompt: user("Q"), steps: ["Step 1: a\n\n", "Step 2: b\n\n", "Step 3: c"], label: 0 }]);
  expect(read({ response, label: [1, 0, 1] })[0].stepLabels).toEqual([1, 0, 0]); // right so far: the third comes after a wrong one
  expect(() => read({ response: user("Q"), label: 1 })).toThrow("must end with the assistant");
});

test("Math-Shepherd: marks behind the steps, + and - in their place", () => {
  const input = "Janet has 3 ducks. How many? Step 1: 3 * 2 = 6 ки\nStep 2: 6 - 1 = 4 ки\nStep 3: The answer is: 4 ки";
  const label = "Janet has 3 ducks. How many? Step 1: 3 * 2 = 6 +\nStep 2: 6 - 1 = 4 -\nStep 3: The answer is: 4 -";
  expect(read({ input, label, task: "GSM8K" })).toMatchObject([
    {
      prompt: user("Janet has 3 ducks. How many?"),
      steps: ["Step 1: 3 * 2 = 6\n\n", "Step 2: 6 - 1 = 4\n\n", "Step 3: The answer is: 4"],
      stepLabels: [1, 0, 0],
    },
  ]);
});

test("PRM800K: the chosen completion of each step and its rating", () => {
  const completion = (text: string, rating: number | null) => ({ text, rating, flagged: false });
  const record = {
    question: { problem: "P", ground_truth_answer: "4" },
    label: {
      steps: [
        { completions: [completion("bad", -1), completion("good", 1)], human_completion: null, chosen_completion: 1 },
        { completions: [completion("bad", -1)], human_completion: { text: "by hand", rating: null }, chosen_completion: null },
        { completions: [completion("meh", 0)], human_completion: null, chosen_completion: 0 },
        { completions: [completion("end", -1)], human_completion: null, chosen_completion: null },
      ],
      finish_reason: "found_error",
    },
  };
  expect(read(record)).toMatchObject([{ prompt: user("P"), steps: ["good\n\n", "by hand\n\n", "meh\n\n", "end"], stepLabels: [1, 1, 1, 0] }]);
});

test("TRL's stepwise form", () => {
  expect(read({ prompt: "Q", completions: ["a", "b"], labels: [true, false] })).toMatchObject([{ prompt: "Q", steps: ["a\n\n", "b"], stepLabels: [1, 0] }]);
});

test("what is no example is refused with file, line and reason", () => {
  expect(() => read({ foo: 1, bar: 2 })).toThrow("f.jsonl:3: the columns foo, bar are not known");
  expect(() => read({ prompt: "Q", response: "a", label: "maybe" })).toThrow('f.jsonl:3: "maybe" is no label');
  expect(() => read({ prompt: "Q", response: "a", label: 2 })).toThrow("f.jsonl:3: 2 is no label");
  expect(() => read({ prompt: "Q", steps: ["a", "b"], labels: [1, "?"] })).toThrow('f.jsonl:3, step 2: "?" is no label');
  expect(() => read({ prompt: "Q", steps: ["a", " \n"], labels: [1, 1] })).toThrow("f.jsonl:3: step 2 of 2 is empty");
  expect(() => read({ prompt: "Q", steps: ["a", "b"], labels: [1] })).toThrow("f.jsonl:3: there are 1 labels for 2 steps");
  expect(() => read({ prompt: "Q", response: "a b c", steps: ["a", "c"], label: 1 })).toThrow('f.jsonl:3: step 2 ("c") does not come next in the response');
  expect(() => read({ prompt: "Q", response: "a b c", steps: ["a", "b"], label: 1 })).toThrow('f.jsonl:3: the response goes on after the last step with "c"');
  expect(() => read({ response: "a", label: 1 })).toThrow("there is no prompt");
  expect(() => read({ prompt: "Q", response: " ", label: 1 })).toThrow("step 1 of 1 is empty");
});

test("cut and aligned steps are the text, joined", () => {
  for (const text of ["a\n\nb\n \n\nc", "\n\na\n\n", "a\nb", "a"]) {
    for (const rule of ["auto", "blank-line", "line", "none", /;/] as const) expect(splitSteps(text, rule).join("")).toBe(text);
  }
  expect(splitSteps("a\n b\n\nc", "line")).toEqual(["a\n ", "b\n\n", "c"]);
  expect(splitSteps("x; y; z", /;\s*/)).toEqual(["x; ", "y; ", "z"]);
  expect(alignSteps("  a\n\nb ", ["a", "b"], "w").join("")).toBe("  a\n\nb ");
});

test("files: every line through the mapping, errors with file and line", async () => {
  const dir = mkdtempSync(join(tmpdir(), "primekit-"));
  try {
    writeFileSync(join(dir, "d.jsonl"), '{"prompt":"Q","response":"a","label":1}\n{"prompt":"Q","response":"b","label":"?"}\n');
    const all: PrmExample[] = [];
    const readAll = async () => {
      for await (const example of readPrmExamples(join(dir, "d.jsonl"))) all.push(example);
    };
    expect(readAll()).rejects.toThrow('d.jsonl:2: "?" is no label');
    writeFileSync(join(dir, "e.jsonl"), '{"prompt":"Q"\n');
    const broken = async () => (await readPrmExamples(join(dir, "e.jsonl")).next()).value;
    expect(broken()).rejects.toThrow(/e\.jsonl:1: /);
    const unknown = async () => (await readPrmExamples(join(dir, "d.jsonl"), { mapping: "eurusprn" as never }).next()).value;
    expect(unknown()).rejects.toThrow("Did you mean eurusprm?");
    await Promise.allSettled([readAll(), broken(), unknown()]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
