// stories260K, a real trained model: its recorded greedy text, logits and log-probs (skipped where ../shared is absent).
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Model } from "../../ts/model.ts";
import { expectClose } from "../support/compare.ts";
import { pack } from "../support/models.ts";

setDefaultTimeout(60_000); // test machines are busy

const dir = join(import.meta.dirname, "..", "..", "..", "shared", "models", "stories260K", "hf-qwen2");
const present = existsSync(join(dir, "reference.json"));
if (!present) console.log("stories260K is skipped: ../shared/models/stories260K is not here.");

interface Reference {
  ids: number[]; // BOS and 200 greedy tokens
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

  test("200 greedy tokens", async () => {
    using model = await load();
    const [rollout] = await model.generate([[1]], { maxNewTokens: 200, temperature: 0, stop: { tokens: [] } });
    expect(Array.from(rollout.tokens)).toEqual(reference.ids.slice(1));
  });
});
