// Examples made of a dataset's rows: order, cutting, prompt styles, and what cannot be learned from.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../ts/data/arithmetic_tokenizer.ts";
import { Dataset } from "../../ts/data/dataset.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";
import { datasetSource, isLearnable, type RowOptions } from "../../ts/train/sft_source.ts";

const folder = mkdtempSync(join(tmpdir(), "primekit-source-"));
afterAll(() => rmSync(folder, { recursive: true }));
const tokenizer = Tokenizer.fromJson(arithmeticTokenizerJson(), arithmeticTokenizerConfig());

async function open(rows: object[], options: RowOptions, holdOut = 0): Promise<Dataset> {
  const file = join(folder, `${Bun.hash(JSON.stringify(rows))}.jsonl`);
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return Dataset.open(file, { needs: ["response"], holdOut, accept: (row) => isLearnable(tokenizer, row, options) });
}

const sums = Array.from({ length: 20 }, (_, i) => ({ prompt: `${i}+1`, response: `${i + 1}` }));
const textOf = ({ tokens }: { tokens: Int32Array }) => tokenizer.decode(tokens);

test("every row once an epoch, in the order of the seed; held-out rows never", async () => {
  const options = { maxLength: 64 };
  const dataset = await open(sums, options, 5);
  const texts = (seed: number, from: number) => {
    const source = datasetSource(dataset, tokenizer, { ...options, seed });
    return Array.from({ length: 15 }, (_, i) => textOf(source.at(from + i)));
  };
  const source = datasetSource(dataset, tokenizer, { ...options, seed: 1 });
  const all = [...texts(1, 0), ...source.heldOut.map(textOf)];
  expect(new Set(all).size).toBe(20);
  expect(texts(1, 15)).not.toEqual(texts(1, 0)); // another epoch, another order,
  expect(texts(1, 15).sort()).toEqual(texts(1, 0).sort()); // the same rows
  expect(texts(2, 0)).not.toEqual(texts(1, 0));
  expect(textOf(source.at(7))).toBe(texts(1, 0)[7]);
  dataset.close();
});

test("long examples are cut; those with nothing to learn in what is left are not taken", async () => {
  const rows = [
    { prompt: "1+1", response: `2${"0".repeat(50)}` },
    { prompt: "1+1".repeat(10), response: "2" },
  ];
  const prompt = tokenizer.encode(tokenizer.chat([{ role: "user", content: "1+1" }], { addGenerationPrompt: true })).length;
  const dataset = await open(rows, { maxLength: prompt + 10 });
  expect(dataset.report).toMatchObject({ kept: 1, dropped: 1 });
  const { tokens, learned } = datasetSource(dataset, tokenizer, { maxLength: prompt + 10, seed: 0 }).at(0);
  expect([tokens.length, learned.reduce((sum, is) => sum + is, 0)]).toEqual([prompt + 10, 10]);
  expect(() => datasetSource(dataset, tokenizer, { maxLength: prompt, seed: 0 }).at(0)).toThrow("hold nothing of the assistant's: allow a longer maxLength");
  dataset.close();
});

test("prompt styles, plain text, and rows that the template refuses", async () => {
  const styled = { maxLength: 64, promptStyle: (messages: { role: string; content: string }[]) => [{ role: "system", content: "+" }, ...messages] };
  const dataset = await open(sums.slice(0, 1), styled);
  expect(textOf(datasetSource(dataset, tokenizer, { ...styled, seed: 0 }).at(0))).toBe(
    "<|im_start|>system\n+<|im_end|>\n<|im_start|>user\n0+1<|im_end|>\n<|im_start|>assistant\n1<|im_end|>",
  );
  expect(textOf(datasetSource(dataset, tokenizer, { maxLength: 64, chatTemplate: false, seed: 0 }).at(0))).toBe("0+11<|im_end|>");
  const strict = { ...arithmeticTokenizerConfig(), chat_template: "{{ raise_exception('no') }}" };
  expect(isLearnable(Tokenizer.fromJson(arithmeticTokenizerJson(), strict), dataset.at(0), { maxLength: 64 })).toBe(false);
  dataset.close();
});
