// What examples 02 and 03 have in common: a tiny model, its fine-tuning, and rollouts with their outcomes.
import type { Task } from "../ts/data/task.ts";
import type { Problem } from "../ts/data/types.ts";
import { type Batch, Model, pack } from "../ts/model.ts";

/** A Qwen2 model of 0.1 M weights, random ones (spread wider than usual: it is narrow and has little time). */
export function tinyModel(task: Task): Promise<Model> {
  const { vocabSize, eosId } = task.tokenizer;
  const sizes = { hiddenSize: 64, intermediateSize: 192, numHiddenLayers: 2, numAttentionHeads: 2, numKeyValueHeads: 1 };
  return Model.load({ ...sizes, vocabSize, eosTokenId: eosId, tieWordEmbeddings: true, initializerRange: 0.1 }, { seed: 1 });
}

/** Fine-tunes on demonstrations: cross entropy of the response tokens given the prompt. */
export async function fineTune(model: Model, task: Task, steps: number): Promise<void> {
  const batchSize = 16;
  for (let step = 0; step < steps; step++) {
    const examples = Array.from({ length: batchSize }, (_, i) => task.demonstrations.at(step * batchSize + i));
    const prompts = examples.map((example) => task.tokenizer.encode(example.prompt));
    const responses = examples.map((example) => [...task.tokenizer.encode(example.response), task.tokenizer.eosId]);
    // the loss is the mean of -logprob, so its derivative by each log-prob is -1/R
    await model.forwardBackward(packRows(prompts, responses), ({ logprobs }) => ({ dLogprobs: new Float32Array(logprobs.length).fill(-1 / logprobs.length) }));
    const warmup = Math.min(1, (step + 1) / 30);
    await model.step({ lr: 5e-3 * warmup * (1 - (0.9 * step) / steps), betas: [0.9, 0.95] });
    if ((step + 1) % (steps / 4) === 0) console.log(`fine-tuning: ${step + 1} of ${steps} steps`);
  }
}

export interface Rollouts {
  problems: Problem[]; // [B] of each row; the G samples of a prompt lie side by side
  texts: string[]; // [B] responses
  tokens: Int32Array[]; // [B] response tokens, EOS included
  sampled: Float32Array; // [R] log-probs the tokens were drawn with, packed
  outcomes: Float32Array; // [B] 1 = right answer, 0 = wrong
  batch: Batch; // prompt + response, packed
}

/** `samples` responses to every problem, verified. `firstSequence` numbers the random streams: a new one draws new samples. */
export async function rollOut(model: Model, task: Task, problems: readonly Problem[], samples: number, firstSequence = 0, temperature = 1): Promise<Rollouts> {
  const { tokenizer } = task;
  const prompts = problems.map((problem) => tokenizer.encode(problem.prompt));
  const rollouts = await model.generate(prompts, { samples, maxNewTokens: 48, temperature, seed: 1, firstSequence });
  const of = rollouts.map((rollout) => problems[rollout.prompt]);
  const tokens = rollouts.map((rollout) => rollout.tokens);
  const texts = tokens.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true }));
  const verdicts = await task.verifier.verify(of.map(({ prompt, answer }, i) => ({ prompt, answer, response: texts[i] })));
  return {
    problems: of,
    texts,
    tokens,
    sampled: Float32Array.from(rollouts.flatMap((rollout) => Array.from(rollout.logprobs))),
    outcomes: Float32Array.from(verdicts, (verdict) => verdict.score),
    batch: packRows(
      rollouts.map((rollout) => prompts[rollout.prompt]),
      tokens,
    ),
  };
}

export const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;
export const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

// --- internal ---

function packRows(prompts: readonly ArrayLike<number>[], responses: readonly ArrayLike<number>[]): Batch {
  const rows = prompts.map((prompt, i) => [...Array.from(prompt), ...Array.from(responses[i])]);
  return { ...pack(rows), promptLengths: Int32Array.from(prompts, (prompt) => prompt.length) };
}
