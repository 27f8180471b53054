// A fine-tuning run of transformers' Trainer, reproduced: the same tokens learned, the same losses, step by step.
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { Model } from "../../ts/model.ts";
import type { ChatMessage } from "../../ts/tokenizer/chat.ts";
import { encodeConversation } from "../../ts/tokenizer/conversation.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";
import type { SftConfigInput } from "../../ts/train/config.ts";
import type { TrainEvent } from "../../ts/train/events.ts";
import { runSft } from "../../ts/train/sft.ts";

setDefaultTimeout(60_000);
const folder = join(import.meta.dir, "..", "fixtures", "sft");
const recorded: {
  settings: SftConfigInput;
  losses: number[];
  gradNorms: number[];
  lrs: number[];
  heldOutLosses: [before: number, after: number];
  rows: { messages: ChatMessage[]; ids: number[]; learned: number[] }[];
  heldOut: { messages: ChatMessage[] }[];
} = JSON.parse(readFileSync(join(folder, "recorded.json"), "utf8"));
const tokenizer = Tokenizer.fromJson(arithmeticTokenizerJson(), arithmeticTokenizerConfig());

test("the assistant's tokens of every turn are learned, and no others", () => {
  expect(recorded.rows.some(({ messages }) => messages.filter(({ role }) => role === "assistant").length === 3)).toBe(true);
  for (const { messages, ids, learned } of recorded.rows) {
    const example = encodeConversation(tokenizer, messages);
    expect(Array.from(example.tokens)).toEqual(ids);
    expect(Array.from(example.learned)).toEqual(learned);
  }
});

for (const maxTokensPerBatch of [8192, 300, 1]) {
  test(`twenty steps as the Trainer's, in micro-batches of ${maxTokensPerBatch} tokens`, async () => {
    using model = await Model.load(folder);
    const steps: Extract<TrainEvent, { type: "step" }>[] = [];
    const result = await runSft({
      model,
      source: {
        tokenizer,
        at: (index) => encodeConversation(tokenizer, recorded.rows[index].messages),
        heldOut: recorded.heldOut.map(({ messages }) => encodeConversation(tokenizer, messages)),
      },
      config: { ...recorded.settings, maxTokensPerBatch },
      onEvent: (event) => event.type === "step" && steps.push(event),
    });
    const distance = (name: "sft/loss" | "sft/gradNorm" | "lr", expected: number[]) =>
      Math.max(...expected.map((value, i) => Math.abs((steps[i].metrics[name] as number) - value)));
    expect(steps).toHaveLength(20);
    expect(distance("lr", recorded.lrs)).toBeLessThan(1e-9);
    expect(distance("sft/loss", recorded.losses)).toBeLessThan(1e-5);
    expect(distance("sft/gradNorm", recorded.gradNorms)).toBeLessThan(1e-5);
    expect(Math.abs((result.heldOutLossBefore as number) - recorded.heldOutLosses[0])).toBeLessThan(1e-3);
    expect(Math.abs((result.heldOutLossAfter as number) - recorded.heldOutLosses[1])).toBeLessThan(1e-3);
    expect(result).toMatchObject({ stopped: false, step: 20, accuracyBefore: undefined, skippedUpdates: 0 });
    if (process.env.PRIMEKIT_SHOW) console.log("loss", distance("sft/loss", recorded.losses), "norm", distance("sft/gradNorm", recorded.gradNorms));
  });
}
