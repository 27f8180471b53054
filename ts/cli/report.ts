// What stands on the screen when a run is over: the table, sample answers with their process rewards, where everything is.
import { basename, dirname, join, relative } from "node:path";
import type { AnswerStep, SampleAnswer } from "../eval/answers.ts";
import type { SftResult } from "../train/sft.ts";
import { count, percent, shortDuration, signed, table } from "./format.ts";
import type { JobResult } from "./job.ts";
import type { JobConfig } from "./job_config.ts";

const PHASES: Record<string, string> = {
  train: "fine-tuning",
  rollout: "sampling answers",
  verify: "verifying",
  score: "reference scores",
  prm: "PRM",
  policy: "policy update",
  eval: "evaluation",
  save: "checkpoints",
};

/** The end table. Every number comes from the run's own results. */
export function renderSummary(config: JobConfig, { sft, prime }: JobResult): string {
  const accuracy = [["held-out accuracy (greedy)", "before", "after"]];
  if (sft) accuracy.push(["  fine-tuning", percent(sft.accuracyBefore), percent(sft.accuracyAfter)]);
  if (prime) accuracy.push([`  ${config.prime.algo}`, percent(prime.accuracyBefore), percent(prime.accuracyAfter)]);
  const facts: string[][] = [];
  if (prime?.pairAccuracy !== undefined) facts.push(["PRM accuracy within groups (last tenth; chance is 50 %)", percent(prime.pairAccuracy)]);
  if (prime)
    facts.push(["tokens trained on, per second", count(prime.tokensPerSecond)], ["tokens generated, per second of sampling", count(prime.generatedPerSecond)]);
  if (sft && !prime) facts.push(["answer tokens trained on", count(sft.tokens)]);
  const skipped = (sft?.skippedUpdates ?? 0) + (prime?.skippedUpdates ?? 0);
  if (skipped > 0) facts.push(["updates skipped as not finite", String(skipped)]);
  return [table(accuracy), table(facts), renderTimes(sft?.seconds ?? {}, prime?.seconds ?? {})].filter(Boolean).join("\n\n");
}

/** What a fine-tuning on data came to. */
export function renderSft({ heldOutLossBefore, heldOutLossAfter, loss, tokens, skippedUpdates, seconds }: SftResult): string {
  const nats = (value: number | undefined) => (value === undefined ? "–" : value.toFixed(4));
  const losses = [
    ["loss (nats per answer token)", "before", "after"],
    ["  held out", nats(heldOutLossBefore), nats(heldOutLossAfter)],
    ["  last step", "", nats(loss)],
  ];
  const facts = [["answer tokens trained on", count(tokens)]];
  if (skippedUpdates > 0) facts.push(["updates skipped as not finite", String(skippedUpdates)]);
  return [table(losses), table(facts), renderTimes(seconds)].filter(Boolean).join("\n\n");
}

/** Sample answers, a line per step with its process reward, and a mark where the task can tell right from wrong. */
export function renderAnswers({ prime, task }: JobResult): string {
  return (prime?.answers ?? [])
    .map((answer) => renderAnswer(answer, task.checkSteps?.(answer.problem, answer.text).map((check) => check.correct) ?? []))
    .join("\n\n");
}

/** Where the run is, and how to go on with it when it was stopped. `invocation` is how the program was called. */
export function renderPlace(dir: string, stopped: boolean, invocation: string): string {
  const inside = relative(process.cwd(), dir);
  const shown = inside.startsWith("..") ? dir : inside;
  if (!stopped) return `The run is in ${join(shown, "/")}`;
  const root = dirname(shown) === "runs" ? "" : ` --runs ${dirname(shown)}`;
  return `Stopped. Everything so far is in ${join(shown, "/")}; go on with: ${invocation} --resume ${basename(dir)}${root}`;
}

// --- internal ---

function renderTimes(...parts: Record<string, number>[]): string {
  const seconds: Record<string, number> = {};
  for (const [phase, s] of parts.flatMap((part) => Object.entries(part))) seconds[phase] = (seconds[phase] ?? 0) + s;
  const total = Object.values(seconds).reduce((sum, s) => sum + s, 0);
  if (total === 0) return "";
  const ordered = [...Object.keys(PHASES).filter((phase) => phase in seconds), ...Object.keys(seconds).filter((phase) => !(phase in PHASES))];
  const rows = ordered.map((phase) => [`  ${PHASES[phase] ?? phase}`, shortDuration(seconds[phase]), percent(seconds[phase] / total)]);
  return table([["time by phase", shortDuration(total), ""], ...rows]);
}

function renderAnswer(answer: SampleAnswer, checks: readonly boolean[]): string {
  const verdict = answer.truncated ? "cut off" : answer.outcome;
  const score = answer.processScore === undefined ? "" : `, process reward ${signed(answer.processScore)}`;
  const head = `${question(answer.problem.prompt)}   (answer ${answer.problem.answer}; ${verdict}${score})`;
  const lines = answer.steps.map((step, i) => [`  ${step.text}`, stepNote(step, checks[i])]);
  return `${head}\n${table(lines)}`;
}

function stepNote({ reward }: AnswerStep, correct: boolean | undefined): string {
  const mark = correct === undefined ? "" : correct ? " right" : " wrong";
  return `${reward === undefined ? "" : signed(reward)}${mark}`;
}

/** What the user asks in a prompt with chat marks around it; other prompts as they are. */
function question(prompt: string): string {
  return /<\|im_start\|>user\n([\s\S]*?)<\|im_end\|>/.exec(prompt)?.[1] ?? prompt;
}
