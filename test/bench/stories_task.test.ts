// The rule of the stories task, and its prompts (skipped where ../shared is absent).
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { STORIES_MODEL, storiesTask, storiesVerifier, WORDS } from "./stories_task.ts";

const GOOD = "He went out. He saw a big dog. The dog was happy. They ran home. They were best friends.";

async function reasonOf(response: string): Promise<string> {
  const [verdict] = await storiesVerifier.verify([{ prompt: "", response, answer: "dog" }]);
  expect(verdict.score).toBe(verdict.outcome === "correct" ? 1 : 0);
  return verdict.reason;
}

test("what a story has to be", async () => {
  expect(await reasonOf(`${GOOD}<s>`)).toBe("The story is as asked for.");
  expect(await reasonOf(`${GOOD} "Bye!"<s>`)).toBe("The story is as asked for.");
  expect(await reasonOf(GOOD)).toBe("The story does not end within the limit.");
  expect(await reasonOf(`${GOOD} And then<s>`)).toBe("The story ends in the middle of a sentence.");
  expect(await reasonOf(`${GOOD.replaceAll("dog", "cat")}<s>`)).toBe("The story does not mention the dog.");
  expect(await reasonOf(`${GOOD.replaceAll("dog", "doghouse")}<s>`)).toBe("The story does not mention the dog.");
  expect(await reasonOf(`${GOOD} Dog, dog, dogs.<s>`)).toBe("The story mentions the dog 5 times.");
  expect(await reasonOf("A dog. A cat. A hat.<s>")).toBe("The story is too short.");
  expect(await reasonOf(`${GOOD} He went out.<s>`)).toBe("The story repeats a sentence.");
});

test.skipIf(!existsSync(STORIES_MODEL))("what is asked for, and what is held out", () => {
  const task = storiesTask(STORIES_MODEL, 1);
  expect(WORDS.train.filter((word) => WORDS.heldOut.includes(word))).toEqual([]);
  expect(task.heldOut).toHaveLength(48);
  const asked = Array.from({ length: 200 }, (_, i) => task.train.at(i));
  expect(new Set(asked.map(({ answer }) => answer)).size).toBe(WORDS.train.length);
  expect(asked.every(({ prompt, answer }) => prompt.startsWith(`<s>This is a story about a ${answer}. Once upon a time,`))).toBe(true);
  expect(task.tokenizer.encode(asked[0].prompt)[0]).toBe(1);
  expect(task.tokenizer.decode([1], { skipSpecialTokens: true })).toBe("<s>"); // the verifier sees the end
  expect(task.tokenizer.eosId).toBe(1);
});
