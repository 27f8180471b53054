// stories260K, a real trained model: its recorded greedy text, logits and log-probs (skipped where ../shared is absent).
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Model } from "../../ts/model.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";
import { expectClose } from "../support/compare.ts";
import { pack } from "../support/models.ts";

setDefaultTimeout(60_000); // test machines are busy

const dir = join(import.meta.dirname, "..", "..", "..", "shared", "models", "stories260K", "hf-qwen2");
const present = existsSync(join(dir, "reference.json"));
if (!present) console.log("stories260K is skipped: ../shared/models/stories260K is not here.");

interface Reference {
  ids: number[]; // BOS and 200 greedy tokens
  text: string; // of these
  logits_first_position: number[];
  logits_position_63: number[];
  logprobs_of_ids_1_to_63: number[];
}

describe.skipIf(!present)("stories260K", () => {
  const reference = present ? (JSON.parse(readFileSync(join(dir, "reference.json"), "utf8")) as Reference) : ({} as Reference);
  const load = () => Model.load(dir, { device: "cpu", dtype: "float32" });

  test("logits of the first position and of position 63", async () => {
    using model = await load();
    const { tokens, offsets } = pack([reference.ids.slice(0, 64)]);
    const logits = await model.native.logits(tokens, offsets);
    const V = model.config.vocabSize;
    expectClose(logits.subarray(0, V), reference.logits_first_position, 1e-4, "logits of position 0");
    expectClose(logits.subarray(63 * V), reference.logits_position_63, 1e-4, "logits of position 63");
  });

  test("log-probs of the first 63 tokens", async () => {
    using model = await load();
    expectClose((await model.logprobs(pack([reference.ids.slice(0, 64)]))).logprobs, reference.logprobs_of_ids_1_to_63, 1e-4, "logprobs");
  });

  test("200 greedy tokens, and their text byte for byte", async () => {
    using model = await load();
    const [rollout] = await model.generate([[1]], { maxNewTokens: 200, temperature: 0, stop: { tokens: [] } });
    expect(Array.from(rollout.tokens)).toEqual(reference.ids.slice(1));
    const tokenizer = await Tokenizer.load(dir);
    const text = Buffer.from(tokenizer.decode(rollout.tokens, { skipSpecialTokens: true }));
    expect(text.toString()).toBe(reference.text);
    expect(text.equals(readFileSync(join(dir, "..", "expected_greedy_200.txt")))).toBe(true);
  });

  test("saved in shards and loaded again, the log-probs and config.json are the same", async () => {
    using model = await load();
    const copy = mkdtempSync(join(tmpdir(), "primekit-stories-"));
    try {
      await model.save(copy, { maxShardBytes: 300_000, tokenizerDir: dir });
      using again = await Model.load(copy, { trainable: false });
      const batch = pack([reference.ids]);
      expectClose((await again.logprobs(batch)).logprobs, (await model.logprobs(batch)).logprobs, 0, "logprobs");
      for (const name of ["config.json", "tokenizer.json", "generation_config.json"]) {
        const read = (from: string) => JSON.parse(readFileSync(join(from, name), "utf8"));
        const older = name === "config.json" ? { torch_dtype: "float32", rope_theta: 10000 } : {}; // names that it is saved under beside those it came with
        expect(read(copy)).toEqual({ ...read(dir), ...older });
      }
    } finally {
      rmSync(copy, { recursive: true, force: true });
    }
  });
});
