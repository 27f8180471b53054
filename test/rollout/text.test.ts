// Text generation: what is streamed is what is returned, in order, as it is drawn.
import { afterAll, expect, test } from "bun:test";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { Model } from "../../ts/model.ts";
import { generateText, promptIds } from "../../ts/rollout/text.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";

const tokenizer = Tokenizer.fromJson(arithmeticTokenizerJson(), arithmeticTokenizerConfig());
const sizes = { hiddenSize: 32, intermediateSize: 64, numHiddenLayers: 2, numAttentionHeads: 2, numKeyValueHeads: 1, initializerRange: 0.3 };
const model = await Model.load({ ...sizes, vocabSize: tokenizer.vocabSize, eosTokenId: tokenizer.eosId, tieWordEmbeddings: true }, { seed: 4 });
afterAll(() => model.close());
const prompts = ["1+1=", "<|im_start|>user\n2+2<|im_end|>\n"].map((text) => promptIds(tokenizer, text));
const options = { samples: 3, maxNewTokens: 24, seed: 9 };

test("every token is reported once, in order, before the call returns; the samples do not depend on it", async () => {
  const seen: number[][] = Array.from({ length: 6 }, () => []);
  const finished: number[] = [];
  const streamed = await model.generate(prompts, {
    ...options,
    maxBatch: 2,
    onToken: (token, sequence) => void seen[sequence].push(token),
    onProgress: (done, total) => void finished.push(done, total),
  });
  expect(seen).toEqual(streamed.map(({ tokens }) => Array.from(tokens)));
  expect(finished).toEqual([1, 6, 2, 6, 3, 6, 4, 6, 5, 6, 6, 6]);
  expect(await model.generate(prompts, options)).toEqual(streamed);
});

test("an error in onToken stops the generation and is what it throws", async () => {
  const failing = model.generate(prompts, {
    ...options,
    onToken: () => {
      throw new Error("enough");
    },
  });
  await expect(failing).rejects.toThrow("enough");
  await expect(model.generate(prompts, { ...options, onToken: 1 as never })).rejects.toMatchObject({ code: "ERR_INVALID_ARGUMENT" });
});

for (const stop of [[], ["\n"], ["1", "="]]) {
  test(`pieces joined are the text, without special tokens, up to ${JSON.stringify(stop)}`, async () => {
    const pieces: string[] = Array.from({ length: 6 }, () => "");
    const onText = (piece: string, sequence: number) => {
      expect(piece).not.toBe("");
      pieces[sequence] += piece;
    };
    const answers = await generateText(model, tokenizer, prompts, { ...options, stop, onText });
    expect(pieces).toEqual(answers.map(({ text }) => text));
    for (const { text, tokens, finishReason } of answers) {
      const whole = tokenizer.decode(tokens, { skipSpecialTokens: true });
      const ends = stop.map((end) => whole.indexOf(end)).filter((at) => at >= 0);
      expect(text).toBe(whole.slice(0, Math.min(whole.length, ...ends)));
      if (ends.length > 0) expect(finishReason).toBe("stop");
    }
    expect(answers.map(({ text }) => text)).toEqual((await generateText(model, tokenizer, prompts, { ...options, stop })).map(({ text }) => text));
  });
}

test("prompts: text as it is, conversations through the template; never empty", () => {
  expect(tokenizer.decode(promptIds(tokenizer, [{ role: "user", content: "1+1" }]))).toBe("<|im_start|>user\n1+1<|im_end|>\n<|im_start|>assistant\n");
  expect(() => promptIds(tokenizer, "")).toThrow("The prompt has no tokens");
});
