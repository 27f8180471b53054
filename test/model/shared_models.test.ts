// verl-digit-completion, a Llama in bfloat16, against recorded transformers logits (test/fixtures/record_digit_completion.py; skipped where ../shared is absent).
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Model } from "../../ts/model.ts";
import { expectClose } from "../support/compare.ts";
import { FIXTURES, nll, pack } from "../support/models.ts";

setDefaultTimeout(60_000); // test machines are busy

const dir = join(import.meta.dirname, "..", "..", "..", "shared", "models", "verl-digit-completion");
const present = existsSync(join(dir, "model.safetensors"));
if (!present) console.log("skipped: ../shared/models/verl-digit-completion is not here.");

describe.skipIf(!present)("verl-digit-completion", () => {
  const recorded = JSON.parse(readFileSync(join(FIXTURES, "digit_completion.json"), "utf8")) as {
    rows: number[][];
    float32: number[];
    bfloat16: number[];
    greedy: number[][];
  };
  const { tokens, offsets } = pack(recorded.rows);

  test("is a Llama without biases", async () => {
    using model = await Model.load(dir, { trainable: false });
    expect(model.config).toMatchObject({ architecture: "llama", attentionBias: false, mlpBias: false, tieWordEmbeddings: false, eosTokenId: 1, padTokenId: 2 });
    expect(model.config.bosTokenId).toBeUndefined();
  });

  test("logits in float32 within 1e-4", async () => {
    using model = await Model.load(dir, { trainable: false });
    expectClose(await model.native.logits(tokens, offsets), recorded.float32, 1e-4, "logits");
  });

  for (const trainable of [false, true]) {
    test(`logits in bfloat16 within 1e-2, ${trainable ? "trainable" : "frozen"}`, async () => {
      using model = await Model.load(dir, { dtype: "bfloat16", trainable });
      expectClose(await model.native.logits(tokens, offsets), recorded.bfloat16, 1e-2, "logits");
    });
  }

  test("greedy continuations", async () => {
    using model = await Model.load(dir, { trainable: false });
    const rollouts = await model.generate(recorded.rows, { maxNewTokens: 20, temperature: 0, stop: { tokens: [] } });
    expect(rollouts.map((rollout) => Array.from(rollout.tokens))).toEqual(recorded.greedy);
  });

  test("it learns", async () => {
    using model = await Model.load(dir, { dtype: "bfloat16" });
    const batch = pack(recorded.rows);
    const first = nll(await model.logprobs(batch)).loss;
    for (let i = 0; i < 5; i++) {
      await model.forwardBackward(batch, nll);
      await model.step({ lr: 1e-3 });
    }
    expect(nll(await model.logprobs(batch)).loss).toBeLessThan(first - 0.1);
  });
});
