// Small tasks and a run folder in memory, for tests of rollouts and trainers.
import { createHash } from "node:crypto";
import { arithmeticTask } from "../../ts/data/arithmetic.ts";
import type { Task } from "../../ts/data/task.ts";
import type { Problem } from "../../ts/data/types.ts";
import { Model } from "../../ts/model.ts";
import type { Item, Verdict, Verifier } from "../../ts/verifiers/types.ts";

const { tokenizer } = arithmeticTask({ seed: 1 });

/** Grades an answer by a function of its text. */
export function gradedBy(grade: (item: Item) => number | Verdict): Verifier {
  return {
    name: "graded",
    verify: async (items) =>
      items.map((item) => {
        const result = grade(item);
        if (typeof result !== "number") return result;
        return { score: result, outcome: result > 0.5 ? "correct" : "wrong", extracted: item.response, reason: "graded by a function of the text" };
      }),
  };
}

/** Right or wrong by a hash of the text: as good as a coin, and the same for ever. */
export const coin = gradedBy(({ prompt, response }) => createHash("sha256").update(`${prompt}|${response}`).digest()[0] & 1);

/** Two-digit prompts whose answers the verifier grades; demonstrations answer "=" and the second digit. */
export function tinyTask(verifier: Verifier = coin, source: (index: number) => Problem = digits): Task {
  return {
    name: "tiny",
    tokenizer,
    demonstrations: { at: (index) => ({ ...digits(index), response: `=${digits(index).prompt[1]}` }) },
    train: { at: source },
    heldOut: Array.from({ length: 12 }, (_, i) => ({ ...digits(1000 + i), id: `held-out-${i}` })),
    verifier,
  };
}

export function digits(index: number): Problem {
  const text = `${index % 10}${Math.floor(index / 10) % 10}`;
  return { id: `digits-${index}`, prompt: text, answer: text, level: 1 + (index % 3) };
}

/** A trainable model of 4,000 weights for the tiny task. */
export function tinyModel(seed = 1, dtype: "float32" | "bfloat16" = "float32"): Promise<Model> {
  return Model.load(
    {
      vocabSize: tokenizer.vocabSize,
      hiddenSize: 16,
      intermediateSize: 32,
      numHiddenLayers: 1,
      numAttentionHeads: 2,
      numKeyValueHeads: 1,
      ropeTheta: 10000,
      rmsNormEps: 1e-6,
      tieWordEmbeddings: true,
      maxPositionEmbeddings: 128,
      initializerRange: 0.15,
      eosTokenId: tokenizer.eosId,
    },
    { seed, dtype },
  );
}

/** Every weight, by name, in one array. */
export async function weightsOf(model: Model): Promise<Float32Array> {
  const parts: number[] = [];
  for (const { name } of model.native.parameters()) parts.push(...(await model.native.readParameter(name, "value")));
  return Float32Array.from(parts);
}
