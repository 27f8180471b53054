// 02: implicit process rewards, what they are.   bun examples/02_implicit_rewards.ts   (about 10 seconds)
//
// A process reward says how good each token or step was. Labels for steps are rare; labels for whole answers are cheap. The trick: take two
// copies of a language model, freeze one (the reference), and train the other (the PRM) so that
//
//     score(answer) = sum over its tokens of r_t        r_t = beta * (log PRM(token) - log reference(token))
//
// predicts whether the answer is right. Nobody labelled a token, yet r_t now tells which tokens made the difference.
// Here a tiny model does sums step by step and often forgets to carry. Its PRM sees right or wrong answers, never a step.
import { arithmeticTask } from "../ts/data/arithmetic.ts";
import { checkSteps } from "../ts/data/arithmetic_steps.ts";
import { stepEnds } from "../ts/eval/steps.ts";
import { implicitRewards, prmCrossEntropyLoss, stepRewards } from "../ts/kernels.ts";
import { fineTune, mean, percent, type Rollouts, rollOut, tinyModel } from "./shared.ts";

const BETA = 1;
const [UPDATES, PROMPTS, SAMPLES] = [40, 64, 4];
const task = arithmeticTask({ minSteps: 2, maxSteps: 4, operations: ["+"], starts: [2, 29] });

// 1. A model with right and wrong habits, learned from demonstrations that have both. It becomes the reference, a copy of it the PRM.
using reference = await tinyModel(task);
await fineTune(reference, task, 800);
using prm = await reference.clone({ trainable: true });

// 2. The PRM learns from outcomes. Gradients flow into each token's log-prob; the labels are one number per answer.
for (let update = 0; update < UPDATES; update++) {
  const problems = Array.from({ length: PROMPTS }, (_, i) => task.train.at(update * PROMPTS + i));
  const { batch, outcomes } = await rollOut(reference, task, problems, SAMPLES, update * PROMPTS * SAMPLES);
  const ref = await reference.logprobs(batch);
  let loss = 0;
  await prm.forwardBackward(batch, ({ logprobs, offsets }) => {
    const result = prmCrossEntropyLoss({ prmLogprobs: logprobs, refLogprobs: ref.logprobs, offsets, labels: outcomes, beta: BETA });
    loss = result.loss;
    return result;
  });
  await prm.step({ lr: 1e-3 });
  if ((update + 1) % 10 === 0) console.log(`PRM: update ${update + 1}, loss ${loss.toFixed(3)}, ${percent(mean(outcomes))} of the answers right`);
}

// 3. Judge answers to problems that neither has seen. A step's reward is the sum over its tokens.
const judged = await rollOut(reference, task, task.heldOut, SAMPLES, 10_000_000);
const { tokenRewards, steps } = await judge(judged);
const wrongRows = Array.from(judged.outcomes.keys()).filter((row) => judged.outcomes[row] === 0 && row % SAMPLES === 0); // one per problem at most
for (const row of wrongRows.slice(0, 4)) {
  console.log(`\n${judged.problems[row].prompt.match(/\d.*\d/)?.[0]} = ${judged.problems[row].answer}, but the model wrote:`);
  for (const { line, reward, correct } of steps.filter((step) => step.row === row)) {
    console.log(`  ${reward.toFixed(2).padStart(6)}  ${line.trim().padEnd(24)} ${correct ? "" : "<- wrong"}`);
  }
}
const [first] = wrongRows;
const spelled = Array.from(judged.tokens[first], (id, t) => `${task.tokenizer.decode([id]).trim() || "\\n"} ${tokenRewards[first][t].toFixed(2)}`);
console.log(`\nThe first of these, token by token:\n  ${spelled.join("   ")}`);

// 4. How well do these rewards find the wrong steps? (1/2 would be guessing.)
const right = steps.filter((step) => step.correct).map((step) => step.reward);
const wrong = steps.filter((step) => !step.correct).map((step) => step.reward);
console.log(`\nmean reward: ${mean(right).toFixed(3)} of ${right.length} right steps, ${mean(wrong).toFixed(3)} of ${wrong.length} wrong steps`);
console.log(`a right step has the higher reward than a wrong one in ${percent(pairsWon(right, wrong))} of all pairs`);

/** The implicit reward of every token of every answer; and of every step, with whether the step is really right. */
async function judge({ batch, tokens, texts, problems }: Rollouts) {
  const { logprobs, offsets } = await prm.logprobs(batch); // [R] over the response tokens
  const ref = await reference.logprobs(batch);
  const { rewards, q } = implicitRewards(logprobs, ref.logprobs, offsets, { beta: BETA }); // [R] r_t and their running sums
  const ends = tokens.map((ids) => stepEnds(task.tokenizer, ids));
  const stepOffsets = Int32Array.from({ length: ends.length + 1 }, (_, row) => ends.slice(0, row).reduce((sum, list) => sum + list.length, 0));
  const { perStep } = stepRewards(q, offsets, Int32Array.from(ends.flat()), stepOffsets);
  const stepsOf = (text: string, row: number) =>
    checkSteps(problems[row], text)
      .filter(({ line }) => line.trim() !== "") // a blank line belongs to the step before it
      .map(({ line, correct }, k) => ({ row, line, correct, reward: perStep[stepOffsets[row] + k] }));
  return { tokenRewards: tokens.map((_, row) => rewards.subarray(offsets[row], offsets[row + 1])), steps: texts.flatMap(stepsOf) };
}

function pairsWon(high: number[], low: number[]): number {
  return mean(high.map((a) => mean(low.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)))));
}
