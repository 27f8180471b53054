// The one table of metric names. Only names under time/ depend on the machine's speed; everything else is bit-identical between equal runs.

export const metricNames = {
  step: "rollout or optimizer steps completed; row 0 is the state before the first",
  lr: "learning rate of the step",
  "sft/loss": "mean negative log-probability of answer tokens, in nats",
  "sft/gradNorm": "gradient norm before clipping",
  "sft/tokens": "answer tokens trained on",
  "sft/skipped": "non-finite updates skipped so far",
  "rollout/accuracy": "mean score of all answers drawn",
  "rollout/allWrong": "share of drawn groups with mean score 0",
  "rollout/allCorrect": "share of drawn groups with mean score 1",
  "rollout/prompts": "prompts drawn",
  "rollout/kept": "prompts kept for the update",
  "rollout/surplus": "prompts that passed the filter but did not fit; they come again",
  "rollout/draws": "rounds of drawing",
  "rollout/length": "mean answer length in tokens",
  "rollout/lengthMax": "longest answer in tokens",
  "rollout/truncated": "share of answers cut by the length limit",
  "rollout/tokens": "tokens generated",
  "verifier/timeouts": "answers that ran out of time: programs, which then count as wrong, or the judging, and then their groups are dropped",
  "verifier/errors": "answers on which the verifier failed; their groups are dropped",
  "reward/outcome": "mean outcome of the kept answers",
  "reward/process": "mean over kept answers of the sum of their process rewards, as used",
  "reward/processCorrect": "the same over correct answers (score above 1/2)",
  "reward/processWrong": "the same over the others",
  "reward/processStd": "root mean square of the process returns over kept tokens, as used",
  "prm/loss": "PRM loss, mean over this step's updates",
  "prm/gradNorm": "PRM gradient norm before clipping",
  "prm/rows": "answers the PRM trained on",
  "prm/pairAccuracy": "share of right-wrong pairs within kept groups ordered rightly, by the PRM before it trained on them; 1/2 is chance",
  "prm/pairAccuracyUsed": "the same by the scores that became rewards (after training, with prmUpdate before)",
  "prm/pairAccuracyRunning": "running mean of prm/pairAccuracy",
  "prm/accuracy": "share of answers whose score has the sign of the outcome, before the PRM trained on them",
  "prm/stepAccuracy":
    "share of right-wrong pairs of steps of one answer ordered rightly by their rewards, as used, on tasks that judge steps; 1/2 is chance; never trained on",
  "prm/weight": "effective weight of process rewards in the advantage",
  "prm/skipped": "non-finite PRM updates skipped so far",
  "prm/auc": "chance that a right answer scores above a wrong one, over all answers of the batch; 1/2 is guessing",
  "prm/calibration": "expected calibration error of sigmoid(score), 10 bins",
  "prm/margin": "mean score of right answers minus that of wrong ones",
  "prm/steps": "labelled steps the PRM trained on",
  "prm/stepAuc": "chance that Q at the end of a step that is right so far lies above Q at one that is not",
  "policy/loss": "policy loss, mean over this step's updates",
  "policy/gradNorm": "policy gradient norm before clipping",
  "policy/entropy": "mean entropy per token, in nats",
  "policy/approxKl": "mean of old - new log-prob per token",
  "policy/ratioMax": "largest probability ratio new / old",
  "policy/clipFraction": "share of tokens whose clipped term is the larger",
  "policy/rows": "answers in the update",
  "policy/skipped": "non-finite policy updates skipped so far",
  "eval/accuracy": "held-out accuracy, greedy",
  "eval/loss": "held-out loss: mean negative log-probability of answer tokens, in nats",
  "eval/prmLoss": "PRM loss on held-out answers",
  "eval/prmAccuracy": "prm/accuracy on held-out answers",
  "eval/prmAuc": "prm/auc on held-out answers",
  "eval/prmCalibration": "prm/calibration on held-out answers",
  "eval/prmMargin": "prm/margin on held-out answers",
  "eval/prmStepAuc": "prm/stepAuc on held-out answers",
  "eval/truncated": "held-out answers cut by the length limit",
  "time/rollout": "seconds of generation",
  "time/verify": "seconds of verification",
  "time/score": "seconds of reference (and old log-prob) forward passes",
  "time/prm": "seconds of PRM training and scoring",
  "time/policy": "seconds of policy updates",
  "time/train": "seconds of fine-tuning",
  "time/eval": "seconds of evaluation",
  "time/save": "seconds of writing checkpoints",
  "time/step": "seconds of the whole step",
  "time/tokensPerSecond": "prompt and answer tokens trained on, per second of the step",
  "time/generatedPerSecond": "tokens generated, per second of generation",
} as const satisfies Record<string, string>;

export type MetricName = keyof typeof metricNames;
export type MetricValues = Partial<Record<MetricName, number>>;

/** A row for metrics.jsonl: names in the table's order, values that are absent or not finite left out. */
export function metricRow(values: { [K in MetricName]?: number | undefined }): Record<string, number> {
  const row: Record<string, number> = {};
  for (const name of Object.keys(metricNames) as MetricName[]) {
    const value = values[name];
    if (value !== undefined && Number.isFinite(value)) row[name] = value;
  }
  return row;
}

/** Seconds by phase. The only place where a trainer reads the clock. */
export class PhaseClock {
  readonly seconds: Record<string, number> = {};
  private readonly started = performance.now();

  /** Runs `work` and adds its duration to `phase`, also when it throws. */
  async time<T>(phase: string, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.seconds[phase] = (this.seconds[phase] ?? 0) + (performance.now() - start) / 1000;
    }
  }

  /** Seconds since the clock was made. */
  elapsed(): number {
    return (performance.now() - this.started) / 1000;
  }
}
