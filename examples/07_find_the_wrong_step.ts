// 07: find the wrong step without ever having been told one.   bun examples/07_find_the_wrong_step.ts   (about half a minute)
//
// Example 02 explains implicit rewards and trains a PRM by hand. Here the tools do it: `runPrm` trains (the command line has it as `primekit prm train`),
// `judgeAnswers` scores (`primekit prm score`), `renderReport` draws the picture (`primekit prm view runs/NAME` draws it of a training run).
//
// A tiny model learns sums from an author who forgets every second carry, so it finds a forgotten carry as likely as the right result: how likely
// a step is says nothing about whether it is right. A PRM then sees answers with at most one such error, and for each of them one bit:
// was the final answer right? That is enough to point at the step.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { arithmeticTask } from "../ts/data/arithmetic.ts";
import { solutionWithSlip, workedSolution } from "../ts/data/arithmetic_errors.ts";
import { type PrmExample, splitSteps } from "../ts/data/prm/example.ts";
import type { Problem } from "../ts/data/types.ts";
import { judgeAnswers, type ScoredAnswer } from "../ts/eval/process.ts";
import { renderReport } from "../ts/eval/report/page.ts";
import { renderAnswerText } from "../ts/eval/report/text.ts";
import type { Model } from "../ts/model.ts";
import { runPrm } from "../ts/train/prm.ts";
import { fineTune, mean, percent, tinyModel } from "./shared.ts";

const BETA = 1;
const task = arithmeticTask({ minSteps: 3, maxSteps: 5, operations: ["+"], starts: [2, 29], slipRate: 0.5, habitShare: 0, heldOutSize: 400 });
const { tokenizer } = task;

// 1. The model, and a worked solution as an example: the answer cut into steps, one label for the whole of it.
using reference = await tinyModel(task);
await fineTune(reference, task, 800);

function example(problem: Problem, withError: boolean, index: number): (PrmExample & { errorStep: number }) | undefined {
  const solution = withError ? solutionWithSlip(problem, 1, index) : workedSolution(problem); // after the error the work goes on rightly from the wrong value
  if (!solution) return undefined; // a sum without any carry
  const { response, errorStep = -1 } = solution;
  return { id: problem.id, prompt: problem.prompt, steps: splitSteps(response, "line"), label: Number(!withError), group: problem.id, errorStep };
}

// 2. The PRM starts as a copy of the model and learns from outcomes: cross entropy on beta * (sum of log PRM - log reference).
const training = Array.from({ length: 7000 }, (_, i) => example(task.train.at(i), i % 2 === 1, i) ?? []).flat();
using prm = await reference.clone({ trainable: true });
const { after } = await runPrm({
  config: { beta: BETA, lr: 1e-3, beta2: 0.95, warmupSteps: 10, decay: "linear" },
  tokenizer,
  examples: training,
  model: prm,
  reference,
  onEvent: (event) => {
    if (event.type !== "step" || event.step % 30 !== 0) return;
    console.log(
      `PRM: step ${event.step} of ${event.steps}, loss ${event.metrics["prm/loss"]?.toFixed(3)}, AUC of answers ${event.metrics["prm/auc"]?.toFixed(2)}`,
    );
  },
});
console.log(`PRM on held-out answers: AUC ${after?.["eval/prmAuc"]?.toFixed(3)}`);

// 3. Answers to new problems, every one with a forgotten carry somewhere. Which step has the lowest reward?
const wrong = task.heldOut.flatMap((problem, i) => example(problem, true, i) ?? []);
const judge = (phi: Pick<Model, "logprobs">, ref: Pick<Model, "logprobs">, examples: PrmExample[]) =>
  judgeAnswers({ prm: phi, reference: ref }, tokenizer, examples, { beta: BETA, tokens: true, maxTokensPerBatch: 8192 });
const lowest = ({ steps }: ScoredAnswer) => steps.reduce((least, step, k) => (step.reward < steps[least].reward ? k : least), 0);
const found = (answers: ScoredAnswer[]) => mean(answers.map((answer, i) => Number(lowest(answer) === wrong[i].errorStep)));

const judged = await judge(prm, reference, wrong);
// a reference that finds everything equally likely leaves the model's own log-probs as rewards
const indifferent: Pick<Model, "logprobs"> = {
  logprobs: async (batch) => {
    const scores = await reference.logprobs(batch);
    return { ...scores, logprobs: scores.logprobs.fill(0) };
  },
};
const unlikely = await judge(reference, indifferent, wrong);
console.log(`\nthe step with the lowest reward is the wrong one in ${percent(found(judged))} of ${wrong.length} answers`);
console.log(
  `by chance: ${percent(mean(judged.map((answer) => 1 / answer.steps.length)))}; the step the model finds least likely: ${percent(found(unlikely))}\n`,
);

// 4. The picture: here as text, and as a page for the browser with every token coloured.
for (const answer of judged.slice(0, 3)) console.log(`${renderAnswerText(answer, { width: 90, colour: process.stdout.isTTY })}\n`);
const right = await judge(
  prm,
  reference,
  task.heldOut.slice(0, 100).flatMap((problem, i) => example(problem, false, i) ?? []),
);
const mixed = judged.slice(0, 100).flatMap((answer, i) => [answer, right[i]]);
mkdirSync("runs", { recursive: true });
const file = join("runs", "07_find_the_wrong_step.html");
writeFileSync(
  file,
  renderReport(mixed, {
    title: "Which step is wrong?",
    facts: [
      ["trained on", `${training.length} answers, each with one label`],
      ["beta", String(BETA)],
    ],
  }),
);
console.log(`The picture: ${file}`);
