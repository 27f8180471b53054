// Model directories for the commands' tests.
import { Model } from "../../ts/model.ts";
import type { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";

/** A model directory with random weights, as small as its tokenizer allows. */
export async function makeModel(dir: string, tokenizer: Tokenizer, vocabSize: number): Promise<string> {
  const sizes = { hiddenSize: 16, intermediateSize: 32, numHiddenLayers: 1, numAttentionHeads: 2, numKeyValueHeads: 1, maxPositionEmbeddings: 2048 };
  const made = await Model.load(
    { ...sizes, vocabSize, eosTokenId: tokenizer.eosId, tieWordEmbeddings: true, initializerRange: 0.1 },
    { seed: 1, trainable: false },
  );
  await made.save(dir);
  await tokenizer.save(dir);
  made.close();
  return dir;
}
