// Step boundaries: for every tokenizer and template we support, a step's last token never holds text of the next step.
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../../../ts/data/arithmetic_tokenizer.ts";
import { encodeExample } from "../../../ts/data/prm/encode.ts";
import { type PrmExample, splitSteps } from "../../../ts/data/prm/example.ts";
import { Tokenizer } from "../../../ts/tokenizer/tokenizer.ts";
import { Random } from "../../support/random.ts";

const SHARED = join(import.meta.dir, "..", "..", "..", "..", "shared");
const places = { "Qwen2.5": join(SHARED, "tokenizers", "qwen2_5"), SentencePiece: join(SHARED, "models", "stories260K", "hf-qwen2") };
const tokenizers: Record<string, Tokenizer> = { arithmetic: Tokenizer.fromJson(arithmeticTokenizerJson(), arithmeticTokenizerConfig()) };
for (const [name, dir] of Object.entries(places)) {
  if (existsSync(dir)) tokenizers[name] = await Tokenizer.load(dir);
  else console.log(`skipped: step boundaries of ${name}'s tokens, because ${dir} is absent.`);
}

const TEXTS = {
  arithmetic: ["[ADVANCE] 47+85=132", "[ADVANCE] 132-7=125", "[VERIFY] 125=125?", "[OUTPUT] \\boxed{125}"],
  prose: [
    "Step 1: Add 47 and 85.",
    "Step 2: So x = 132, i.e. $\\frac{264}{2}$!",
    "**Step 3**: 1,000 is é — 🙂🙂",
    "  indented, then a tab\there",
    "The answer is: \\boxed{125}",
  ],
};
const SEPARATORS = ["\n", "\n\n", "\n\n\n", "\r\n\r\n", " \n \n ", " ", ""];

function example(steps: string[], prompt: PrmExample["prompt"] = "1+1"): PrmExample {
  return { id: "x", prompt, steps, group: "g" };
}

for (const [name, tokenizer] of Object.entries(tokenizers)) {
  const texts = name === "arithmetic" ? TEXTS.arithmetic : TEXTS.prose;
  for (const separator of SEPARATORS.filter((s) => name !== "arithmetic" || !s.includes("\r"))) {
    test(`${name}, steps joined by ${JSON.stringify(separator)}: no boundary lies inside the next step`, () => {
      const steps = texts.map((step, k) => (k === texts.length - 1 ? step : step + separator));
      const whole = steps.join("");
      const { response, stepEnds, textEnds } = encodeExample(tokenizer, example(steps));
      expect(response.at(-1)).toBe(tokenizer.eosId);
      expect(Array.from(stepEnds)).toEqual([...new Set(stepEnds)].sort((a, b) => a - b)); // rising
      expect(stepEnds.at(-1)).toBe(response.length - 1);
      let end = 0;
      steps.slice(0, -1).forEach((step, k) => {
        end += step.length;
        // what the model has read at the boundary is the beginning of the text up to, at most, the start of the next step …
        const read = tokenizer.decode(response.subarray(0, stepEnds[k] + 1));
        expect(textEnds[stepEnds[k]]).toBeLessThanOrEqual(end);
        expect(whole.slice(0, end).startsWith(read.replace(/^ /, whole.startsWith(" ") ? " " : "")), JSON.stringify([read, whole.slice(0, end)])).toBe(true);
        // … and the next token has text of that step in it: the boundary is the last one possible
        expect(textEnds[stepEnds[k] + 1]).toBeGreaterThan(end);
      });
    });
  }

  test(`${name}: random cuts of random texts`, () => {
    const random = new Random(7);
    const alphabet = name === "arithmetic" ? [..."0123456789+-= \n"] : [..."ab1 .\n\n-éß漢🙂"];
    for (let round = 0; round < 200; round++) {
      const characters = Array.from({ length: 5 + Math.floor(random.uniform() * 40) }, () => alphabet[Math.floor(random.uniform() * alphabet.length)]);
      const text = `${characters.join("").replace(/^\s+/, "")}.`;
      const steps = splitSteps(text, "line");
      expect(steps.join("")).toBe(text);
      const { stepEnds, textEnds } = encodeExample(tokenizer, example(steps));
      let end = 0;
      steps.slice(0, -1).forEach((step, k) => {
        end += step.length;
        expect(textEnds[stepEnds[k]]).toBeLessThanOrEqual(end);
      });
    }
  });
}

test("the prompt: messages and bare questions get the chat template, texts with chat marks stay", () => {
  const { arithmetic } = tokenizers;
  const chat = arithmetic.chat([{ role: "user", content: "1+1" }], { addGenerationPrompt: true });
  const promptOf = (prompt: PrmExample["prompt"], promptFormat?: "text" | "chat") =>
    arithmetic.decode(encodeExample(arithmetic, example(["2"], prompt), { promptFormat }).prompt);
  expect(promptOf([{ role: "user", content: "1+1" }])).toBe(chat);
  expect(promptOf("1+1")).toBe(chat);
  expect(promptOf(chat)).toBe(chat);
  expect(promptOf("1+1", "text")).toBe("1+1");
});

test("an over-long conversation is an error that says so; cut only when asked", () => {
  const { arithmetic } = tokenizers;
  const long = example(["[ADVANCE] 1+1=2\n", "[ADVANCE] 2+1=3\n", "[OUTPUT] \\boxed{3}"]);
  const { prompt, response, stepEnds } = encodeExample(arithmetic, long);
  const maxLength = prompt.length + stepEnds[1]; // one token short of two steps
  expect(() => encodeExample(arithmetic, long, { maxLength })).toThrow(
    `x: prompt and answer have ${prompt.length} + ${response.length} tokens, but the limit is ${maxLength}; allow more, or ask for answers to be cut with truncate.`,
  );
  const cut = encodeExample(arithmetic, long, { maxLength, truncate: true });
  expect(cut).toMatchObject({ truncated: true, response: response.slice(0, stepEnds[1]), stepEnds: Int32Array.of(stepEnds[0], stepEnds[1] - 1) });
  expect(() => encodeExample(arithmetic, long, { maxLength: prompt.length, truncate: true })).toThrow("the prompt alone leaves no room");
});

test("an answer that a length limit cut off gets no end-of-text token", () => {
  const { arithmetic } = tokenizers;
  expect(encodeExample(arithmetic, { ...example(["[ADVANCE] 1+"]), open: true }).response).toEqual(arithmetic.encode("[ADVANCE] 1+"));
});

test("text outside the vocabulary is an error that names the example", () => {
  expect(() => encodeExample(tokenizers.arithmetic, example(["1+é"]))).toThrow(/^x: /);
});
