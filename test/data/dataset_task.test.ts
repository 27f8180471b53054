// A task of a dataset: problems in the order of the seed, disjoint from what is held out, written as the style and the template say.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { arithmeticTask } from "../../ts/data/arithmetic.ts";
import { type DatasetTaskOptions, datasetTask } from "../../ts/data/dataset_task.ts";
import { rowOf } from "../../ts/data/order.ts";
import { arithmeticVerifier } from "../../ts/verifiers/arithmetic.ts";
import { hasShared, Scratch, shared } from "./support.ts";

const scratch = new Scratch();
beforeAll(() => scratch.open());
afterAll(() => scratch.close());

const { tokenizer } = arithmeticTask();
const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const row = (i: number, extra = {}) => `${JSON.stringify({ prompt: `${i}+1`, answer: String(i + 1), response: `[OUTPUT] \\boxed{${i + 1}}`, ...extra })}\n`;
const open = (source: string, options: Partial<DatasetTaskOptions> = {}) =>
  datasetTask(source, { tokenizer, verifier: arithmeticVerifier, cacheDir: join(scratch.dir, "cache"), ...options });

test("every row once an epoch, in an order of the seed, none of them held out", async () => {
  const file = await scratch.write(
    "a.jsonl",
    range(200)
      .map((i) => row(i))
      .join(""),
  );
  const task = await open(file, { heldOutSize: 40, seed: 3 });
  const prompts = (epoch: number) => range(160).map((i) => task.train.at(160 * epoch + i).prompt);
  const [first, second] = [prompts(0), prompts(1)];
  expect(new Set(first).size).toBe(160);
  expect(second.toSorted()).toEqual(first.toSorted());
  expect(second).not.toEqual(first);
  expect(task.heldOut).toHaveLength(40);
  for (const { prompt } of task.heldOut) expect(first).not.toContain(prompt);
  task.close();

  // Opened again, and asked in another order: the same problems.
  const again = await open(file, { heldOutSize: 40, seed: 3 });
  for (const i of [319, 5, 160, 0]) expect(again.train.at(i).prompt).toBe([...first, ...second][i]);
  expect(again.heldOut).toEqual(task.heldOut);
  const other = await open(file, { heldOutSize: 40, seed: 4 });
  expect(other.heldOut).toEqual(task.heldOut); // what is held out does not hang on the seed
  expect(range(160).filter((i) => other.train.at(i).prompt === first[i]).length).toBeLessThan(10);
  again.close();
  other.close();
});

test("what is held out may be any split of the data's own directory, or of another", async () => {
  for (const [name, from] of [
    ["train", 0],
    ["test", 100],
    ["validation", 200],
  ] as const)
    await scratch.write(
      `splits/${name}-00000-of-00001.jsonl`,
      range(5)
        .map((i) => row(from + i))
        .join(""),
    );
  const source = join(scratch.dir, "splits");
  const firstOf = async (options: Partial<DatasetTaskOptions>) => {
    const task = await open(source, { heldOut: source, ...options });
    task.close();
    expect(task.report).toMatchObject({ files: 1, kept: 5 });
    return task.heldOut.map(({ answer }) => answer)[0];
  };
  expect(await firstOf({})).toBe("101"); // test, where there is one
  expect(await firstOf({ heldOutSplit: "validation" })).toBe("201");
  expect(await firstOf({ heldOutSplit: "dev", split: "test" })).toBe("201");
  await expect(firstOf({ heldOutSplit: "unseen" })).rejects.toThrow("has no files of the split unseen; there are test, train, validation.");
});

test("a problem carries id, answer, level and ability; the prompt is written by style and template", async () => {
  const file = await scratch.write(
    "b.jsonl",
    range(10)
      .map((i) => row(i, { id: `row-${i}`, level: 3, ability: "math" }))
      .join(""),
  );
  const style: DatasetTaskOptions["promptStyle"] = (messages, ability) => [{ role: "system", content: `ability: ${ability}` }, ...messages];
  const task = await open(file, { heldOutSize: 0, promptStyle: style });
  const i = rowOf(0, 0, 10, 1);
  expect(task.train.at(0)).toEqual({
    id: `row-${i}`,
    prompt: tokenizer.chat(
      [
        { role: "system", content: "ability: math" },
        { role: "user", content: `${i}+1` },
      ],
      { addGenerationPrompt: true },
    ),
    answer: String(i + 1),
    level: 3,
    ability: "math",
  });
  task.close();
  const bare = await open(file, { heldOutSize: 0, chatTemplate: false });
  expect(bare.train.at(0).prompt).toBe(`${i}+1`);
  bare.close();
});

test("prompts over the limit are dropped and counted, whatever is around them", async () => {
  const file = await scratch.write(
    "c.jsonl",
    range(100)
      .map((i) => row(10 ** (1 + Math.floor(i / 20)) + i))
      .join(""),
  );
  const lengths = async (chatTemplate: boolean, maxPromptTokens: number) => {
    const task = await open(file, { heldOutSize: 0, chatTemplate, maxPromptTokens });
    for (const i of range(task.report.kept)) expect(tokenizer.encode(task.train.at(i).prompt).length).toBeLessThanOrEqual(maxPromptTokens);
    task.close();
    return task.report.dropped;
  };
  expect(await lengths(false, 5)).toBe(60); // "10+1" has four tokens, "100+1" five
  expect(await lengths(true, 100)).toBe(0);
  await expect(open(file, { maxPromptTokens: 1 })).rejects.toThrow("all 100 good ones were dropped as too long");
});

describe("held-out problems of a file of their own", () => {
  test("are all of it, and no problem of it is trained on", async () => {
    const train = await scratch.write(
      "train.jsonl",
      range(50)
        .map((i) => row(i))
        .join(""),
    );
    const test = await scratch.write(
      "test.jsonl",
      range(20)
        .map((i) => row(i + 40))
        .join(""),
    );
    const task = await open(train, { heldOut: test });
    expect(task.heldOut.map(({ answer }) => answer)).toEqual(range(20).map((i) => String(i + 41)));
    expect(task.report).toMatchObject({ excluded: 10, kept: 40, heldOut: 0 });
    expect(task.heldOutReport).toMatchObject({ rows: 20, kept: 20 });
    task.close();
    const few = await open(train, { heldOut: test, heldOutSize: 5 });
    expect(few.heldOut).toHaveLength(5);
    expect(few.report.kept).toBe(40);
    few.close();
  });
});

test("demonstrations are rows with responses, in an order of their own", async () => {
  const file = await scratch.write(
    "d.jsonl",
    range(30)
      .map((i) => row(i))
      .join(""),
  );
  const task = await open(file, { heldOutSize: 5 });
  const examples = range(25).map((i) => task.demonstrations.at(i));
  expect(new Set(examples.map(({ prompt }) => prompt)).size).toBe(25);
  expect(examples.map(({ prompt }) => prompt)).not.toEqual(range(25).map((i) => task.train.at(i).prompt));
  for (const { answer, response } of examples) expect(response).toBe(`[OUTPUT] \\boxed{${answer}}`);
  expect((await task.verifier.verify(examples)).every(({ outcome }) => outcome === "correct")).toBe(true);
  task.close();
  const without = await open(
    await scratch.write(
      "e.jsonl",
      range(30)
        .map((i) => row(i, { response: undefined }))
        .join(""),
    ),
  );
  expect(() => without.demonstrations.at(0)).toThrow(/e\.jsonl:\d+ has no worked response, so there is nothing to fine-tune on in it\./);
  without.close();
});

test.skipIf(!hasShared("data/math/gsm8k"))("GSM8K: train and test share no question", async () => {
  const task = await open(shared("data/math/gsm8k/train.jsonl"), {
    heldOut: shared("data/math/gsm8k/test.jsonl"),
    chatTemplate: false,
    maxPromptTokens: 10_000,
  });
  expect(task.name).toBe("gsm8k");
  expect(task.heldOut).toHaveLength(1319);
  expect(task.report).toMatchObject({ rows: 7473, bad: 0, dropped: 0, excluded: 0, kept: 7473 });
  task.close();
});
