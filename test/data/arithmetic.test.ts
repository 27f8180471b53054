import { expect, test } from "bun:test";
import { arithmeticTask, splitOf } from "../../ts/data/arithmetic.ts";
import { evaluate, parseExpression, slipOf } from "../../ts/data/arithmetic_problem.ts";
import { checkSteps } from "../../ts/data/arithmetic_steps.ts";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { Draws, philox4x32 } from "../../ts/data/random.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";

/** a, operation, b, c of a step's line. */
const partsOf = (line: string) => /(-?\d+)([+*-])(\d+)=(-?\d+)/.exec(line)?.slice(1) ?? [];
const expressionIn = (prompt: string) => /[\d+*-]{3,}/.exec(prompt)?.[0] ?? "";
const range = (n: number) => Array.from({ length: n }, (_, i) => i);

test("Philox agrees with the Random123 known answers", () => {
  expect(philox4x32([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const ones = 0xffffffff;
  expect(philox4x32([ones, ones, ones, ones], [ones, ones])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  expect(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
});

test("draws are even and depend on every part of their key", () => {
  const counts = new Array(10).fill(0);
  const draws = new Draws(1, 2, 3);
  for (let i = 0; i < 10_000; i++) counts[draws.integer(0, 9)]++;
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150); // 5 standard deviations
  const firsts = [
    new Draws(1, 2, 3),
    new Draws(2, 2, 3),
    new Draws(1, 3, 3),
    new Draws(1, 2, 4),
    new Draws(1, 2, 3 + 2 ** 32),
    new Draws(1 + 2 ** 32, 2, 3),
    new Draws(1, 2, 3, 1),
  ];
  expect(new Set(firsts.map((d) => d.next())).size).toBe(firsts.length);
});

test("problems and demonstrations are pure functions of (seed, index)", () => {
  const [a, b, other] = [arithmeticTask({ seed: 5 }), arithmeticTask({ seed: 5 }), arithmeticTask({ seed: 6 })];
  const backwards = range(50).reverse();
  const late = new Map(backwards.map((i) => [i, b.train.at(i)]));
  for (const i of range(50)) {
    expect(late.get(i)).toEqual(a.train.at(i));
    expect(a.demonstrations.at(i)).toEqual(b.demonstrations.at(i));
  }
  expect(a.heldOut).toEqual(b.heldOut);
  expect(range(50).filter((i) => a.train.at(i).prompt === other.train.at(i).prompt).length).toBeLessThan(5);
});

test("the three sets are disjoint, across seeds too", () => {
  const sets = { demonstration: new Set<string>(), train: new Set<string>(), "held-out": new Set<string>() };
  for (const seed of [0, 1]) {
    const task = arithmeticTask({ seed, minSteps: 1, maxSteps: 2 });
    for (const i of range(2000)) {
      sets.demonstration.add(expressionIn(task.demonstrations.at(i).prompt));
      sets.train.add(expressionIn(task.train.at(i).prompt));
    }
    for (const problem of task.heldOut) sets["held-out"].add(expressionIn(problem.prompt));
    expect(new Set(task.heldOut.map((problem) => problem.prompt)).size).toBe(256);
  }
  const all = Object.values(sets).flatMap((set) => [...set]);
  expect(new Set(all).size).toBe(all.length);
  for (const [split, expressions] of Object.entries(sets)) for (const expression of expressions) expect(splitOf(expression) as string).toBe(split);
});

test("answers are right, levels are the number of steps, prompts and responses are short", () => {
  const task = arithmeticTask({ minSteps: 2, maxSteps: 5, operands: [1, 99] });
  const levels = new Set<number>();
  for (const i of range(500)) {
    const problem = task.train.at(i);
    const expression = expressionIn(problem.prompt);
    expect(problem.answer).toBe(String(new Function(`return ${expression}`)())); // JavaScript's own precedence
    expect(problem.level).toBe(expression.split(/[+*-]/).length - 1);
    levels.add(problem.level);
    expect(task.tokenizer.encode(problem.prompt).length).toBeLessThanOrEqual(8 + 6 * 3);
    expect(Array.from(task.tokenizer.encode(problem.prompt))).not.toContain(task.tokenizer.idOf("<unk>"));
  }
  expect([...levels].sort()).toEqual([2, 3, 4, 5]);
});

test("without slips every demonstration verifies and every step checks", async () => {
  const task = arithmeticTask({ slipRate: 0, habitRate: 0 });
  const examples = range(300).map((i) => task.demonstrations.at(i));
  const verdicts = await task.verifier.verify(examples);
  expect(verdicts.every((verdict) => verdict.outcome === "correct")).toBe(true);
  for (const example of examples) {
    expect(checkSteps(example, example.response).every((step) => step.correct)).toBe(true);
    expect(checkSteps(example, example.response)).toHaveLength(example.level + 1);
    expect(
      checkSteps(example, example.response)
        .map((step) => step.line)
        .join(""),
    ).toBe(example.response);
  }
});

test("slips are the typical ones", () => {
  expect(slipOf(47, "+", 85)).toBe(122);
  expect(slipOf(52, "-", 37)).toBe(25);
  expect(slipOf(7, "*", 8)).toBe(48);
  expect(slipOf(41, "+", 58)).toBeUndefined();
  expect(slipOf(58, "-", 41)).toBeUndefined();
  expect(slipOf(-5, "+", 7)).toBeUndefined();
  expect(slipOf(12, "-", 37)).toBeUndefined();
});

test("with slips a demonstration is wrong exactly where a step is, and goes on consistently", async () => {
  const task = arithmeticTask({ slipRate: 0.3, habitShare: 0 });
  let possible = 0;
  let slipped = 0;
  for (const i of range(1000)) {
    const example = task.demonstrations.at(i);
    const steps = checkSteps(example, example.response);
    for (const { line, correct, reason } of steps.slice(0, -1)) {
      const [a, operation, b, c] = partsOf(line);
      const slip = slipOf(Number(a), operation as "+", Number(b));
      if (slip !== undefined) possible++;
      if (correct) continue;
      slipped++;
      expect(slip).toBe(Number(c));
      expect(reason).toStartWith(`${a}${operation}${b} is `);
    }
    expect(steps.at(-1)?.correct).toBe(true); // the box repeats the last value, right or wrong
    const expression = parseExpression(example.prompt);
    expect(example.answer).toBe(String(expression && evaluate(expression))); // the true one
  }
  expect(slipped / possible).toBeGreaterThan(0.25);
  expect(slipped / possible).toBeLessThan(0.35);
});

test("a habit hangs on the operation and the operand's last digit; its share of the possible slips is as asked", () => {
  for (const seed of [0, 1, 2]) {
    const always = arithmeticTask({ seed, slipRate: 0, habitShare: 0.5, habitRate: 1, operands: [1, 9] });
    const places = new Map<string, Set<boolean>>();
    const slips = { "+": [0, 0], "-": [0, 0], "*": [0, 0] };
    for (const i of range(3000)) {
      const example = always.demonstrations.at(i);
      for (const { line, correct } of checkSteps(example, example.response).slice(0, -1)) {
        const [a, operation, b] = partsOf(line) as [string, "+" | "-" | "*", string];
        if (slipOf(Number(a), operation, Number(b)) === undefined) continue;
        const place = operation + (Number(b) % 10);
        places.set(place, (places.get(place) ?? new Set()).add(correct));
        slips[operation][correct ? 0 : 1]++;
      }
    }
    expect(places.size).toBe(9 + 9 + 8);
    expect([...places.values()].every((verdicts) => verdicts.size === 1)).toBe(true);
    for (const [right, wrong] of Object.values(slips)) expect(Math.abs(wrong / (right + wrong) - 0.5)).toBeLessThan(0.08);
  }
});

test("checkSteps tells what is wrong with a line", () => {
  const problem = { id: "x", prompt: "<|im_start|>user\n47+85-33<|im_end|>\n" };
  const verdicts = (response: string) => checkSteps(problem, response).map((step) => (step.correct ? true : step.reason));
  expect(verdicts("[ADVANCE] 47+85=132\n[ADVANCE] 132-33=99\n[OUTPUT] \\boxed{99}")).toEqual([true, true, true]);
  expect(verdicts("[ADVANCE] 47+85=122\n[ADVANCE] 122-33=89\n[OUTPUT] \\boxed{89}")).toEqual(["47+85 is 132", true, true]);
  expect(verdicts("[ADVANCE] 47+86=133\n[ADVANCE] 99-33=66\n[OUTPUT] \\boxed{67}")).toEqual([
    "should use +85",
    "should start from 133",
    "the last value was 66",
  ]);
  expect(verdicts("[ADVANCE] 47+85=132\n[OUTPUT] \\boxed{132}")).toEqual([true, "1 steps are missing"]);
  expect(verdicts("[ADVANCE] 47+85=132\n[ADVANCE] 132-33=99\n[ADVANCE] 99+1=100\n")).toEqual([true, true, "the problem has no further step"]);
  expect(verdicts("nonsense\n\n")).toEqual(["neither a step nor an answer", "neither a step nor an answer"]);
  expect(verdicts("")).toEqual([]);
  expect(() => checkSteps({ id: "y", prompt: "hello" }, "")).toThrow("The prompt of problem y holds no arithmetic expression.");
});

test("the tokenizer gives the same ids where a program cuts texts by Qwen2's pattern, as transformers 5 does for every Qwen2 model", () => {
  const { tokenizer, demonstrations } = arithmeticTask();
  const json = arithmeticTokenizerJson();
  const pattern = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
  const [, byteLevel] = json.pre_tokenizer.pretokenizers;
  const cut = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
  const theirs = {
    ...json,
    normalizer: { type: "NFC" },
    pre_tokenizer: { type: "Sequence", pretokenizers: [cut, byteLevel] },
    model: { ...json.model, unk_token: null, ignore_merges: false },
  };
  const other = Tokenizer.fromJson(theirs, arithmeticTokenizerConfig());
  for (let i = 0; i < 200; i++) {
    const { prompt, response } = demonstrations.at(i);
    const ids = Array.from(tokenizer.encode(prompt + response));
    expect(Array.from(other.encode(prompt + response))).toEqual(ids);
    expect(other.decode(ids)).toBe(prompt + response);
  }
});

test("bad options are named", () => {
  const bad: [object, string][] = [
    [{ minSteps: 0 }, "minSteps must be an integer of at least 1, but got 0."],
    [{ minSteps: 3, maxSteps: 2 }, "maxSteps must be an integer of at least 3, but got 2."],
    [{ seed: -1 }, "seed must be"],
    [{ slipRate: 1.5 }, "slipRate must be between 0 and 1, but got 1.5."],
    [{ slipRate: Number.NaN }, "slipRate must be"],
    [{ operands: [9, 1] }, "operands must be"],
    [{ operations: [] }, "operations must be"],
    [{ operations: ["*"] }, "operations must be"],
    [{ starts: [1, 1], operands: [1, 1], minSteps: 1, maxSteps: 1, operations: ["+"] }, "No held-out problem was found"],
    [{ starts: [1, 9], operands: [1, 9], minSteps: 1, maxSteps: 1, operations: ["+"] }, "heldOutSize asks for 256"],
  ];
  for (const [options, message] of bad) expect(() => arithmeticTask(options)).toThrow(message);
  expect(() => arithmeticTask().train.at(-1)).toThrow("index must be a non-negative integer, but got -1.");
});
