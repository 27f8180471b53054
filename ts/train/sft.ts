// Supervised fine-tuning on a task's demonstrations or on a dataset, with loss on the assistant's tokens.

import { join } from "node:path";
import { learningRate } from "../algo/schedule.ts";
import { countSkips, type SkipCounter, updateMinibatch } from "../algo/update.ts";
import type { Task } from "../data/task.ts";
import { PrimekitError, typeError } from "../errors.ts";
import { Model } from "../model.ts";
import { range, splitByTokens } from "../rollout/pack.ts";
import type { RunFolder } from "../run/run_folder.ts";
import type { LearnedTokens } from "../tokenizer/conversation.ts";
import { sftCard } from "./card.ts";
import { parseSftConfig, type SftConfig, type SftConfigInput } from "./config.ts";
import type { OnEvent, Phase, ResumePoint } from "./events.ts";
import { metricRow, PhaseClock } from "./metrics.ts";
import { heldOutLoss, learnedTokens, negativeLogLikelihood, toRow } from "./sft_rows.ts";
import { demonstrationSource, type SftSource } from "./sft_source.ts";
import { unlessAborted } from "./stop.ts";

export interface SftRunOptions {
  config: SftConfigInput;
  /** What is learned: a task's demonstrations, or … */
  task?: Task;
  /** … examples from anywhere else. One of the two must be given. */
  source?: SftSource;
  model: Model; // trained in place
  run?: Pick<RunFolder, "appendMetrics" | "saveCheckpoint" | "truncateMetricsAfter">;
  resume?: ResumePoint;
  signal?: AbortSignal; // stops after the step under way, with a checkpoint
  onEvent?: OnEvent;
}

/** Everything beside weights and optimizer that the next step depends on, as JSON. */
export interface SftState {
  version: 1;
  step: number; // steps completed; the data position is step * batchSize
  skips: SkipCounter;
  evaluatedStep: number; // -1: never
  reached: boolean; // stopAccuracy was reached: training is over
  accuracies: { step: number; accuracy: number }[];
  losses?: { step: number; loss: number }[]; // held-out
  tokens: number; // answer tokens trained on
  seconds: Record<string, number>;
}

export interface SftResult {
  stopped: boolean; // by the signal
  step: number;
  loss: number | undefined; // of the last step
  accuracyBefore: number | undefined; // held-out, greedy; with a verifier only
  accuracyAfter: number | undefined;
  heldOutLossBefore: number | undefined; // where there are held-out examples
  heldOutLossAfter: number | undefined;
  tokens: number;
  seconds: Record<string, number>; // by phase
  skippedUpdates: number;
}

/**
 * Trains `model` in place: step k sees examples k*batchSize … (k+1)*batchSize-1. Bit-identical for equal config, task and start, whether resumed or not.
 * Throws ERR_CONFIG, ERR_CHECKPOINT, ERR_NON_FINITE (too many skipped updates in a row) and what model and run folder throw.
 */
export async function runSft(options: SftRunOptions): Promise<SftResult> {
  const t = new SftTrainer(options);
  if (options.resume) await t.resume(options.resume);
  else await options.model.resetOptimizer(); // the first step is AdamW's first, whatever the model went through before
  await unlessAborted(options.signal, () => t.train());
  if (options.signal?.aborted) await t.save();
  return t.result();
}

// --- internal ---

class SftTrainer {
  private readonly options: SftRunOptions;
  private readonly config: SftConfig;
  private readonly source: SftSource;
  private state: SftState = {
    version: 1,
    step: 0,
    skips: { total: 0, inARow: 0 },
    evaluatedStep: -1,
    reached: false,
    accuracies: [],
    tokens: 0,
    seconds: {},
  };
  private savedStep = -1;
  private clock = new PhaseClock();
  private loss: number | undefined;

  constructor(options: SftRunOptions) {
    this.options = options;
    this.config = parseSftConfig(options.config);
    if (!options.task && !options.source) throw typeError("source", "given, unless there is a task", options.source);
    this.source = options.source ?? demonstrationSource(options.task as Task);
  }

  async train(): Promise<void> {
    const { config, state, options } = this;
    const last = () => state.step === config.steps || state.reached;
    const every = (period: number) => last() || (period > 0 && state.step > 0 && state.step % period === 0);
    while (!options.signal?.aborted) {
      if ((state.step === 0 || every(config.evalEvery)) && state.evaluatedStep !== state.step) await this.evaluate();
      if (every(config.saveEvery)) await this.save();
      if (last()) return;
      await this.trainStep();
    }
  }

  private async trainStep(): Promise<void> {
    const { config, state, options } = this;
    const examples = range(config.batchSize).map((i) => this.source.at(state.step * config.batchSize + i));
    const rows = examples.map(toRow);
    const tokens = learnedTokens(rows);
    const lr = learningRate(state.step, config);
    const step = { lr, betas: [0.9, config.beta2] as [number, number], weightDecay: config.weightDecay, gradClip: config.gradClip };
    const parts = splitByTokens(rows, range(rows.length), config.maxTokensPerBatch);
    const update = await this.during("train", () => updateMinibatch(options.model, rows, parts, negativeLogLikelihood(rows, tokens), step));
    countSkips(state.skips, update.skipped, "the model", config.maxSkippedUpdates);
    state.step++;
    state.tokens += tokens;
    this.loss = update.skipped ? this.loss : update.loss;
    const { seconds, elapsed } = this.takeTimes();
    const row = metricRow({
      step: state.step,
      lr,
      "sft/loss": update.skipped ? undefined : update.loss,
      "sft/gradNorm": update.skipped ? undefined : update.gradNorm,
      "sft/tokens": tokens,
      "sft/skipped": state.skips.total,
      "time/train": seconds.train,
      "time/step": elapsed,
      "time/tokensPerSecond": rows.reduce((sum, { prompt, response }) => sum + prompt.length + response.length, 0) / elapsed,
    });
    await options.run?.appendMetrics(row);
    options.onEvent?.({ type: "step", trainer: "sft", step: state.step, steps: config.steps, metrics: row });
  }

  private async evaluate(): Promise<void> {
    const { config, state, options, source } = this;
    const onProgress = (done: number, total: number) =>
      options.onEvent?.({ type: "phase", trainer: "sft", phase: "eval", step: state.step, steps: config.steps, done, total });
    const measure = { maxNewTokens: config.maxNewTokens, maxBatch: config.generationSlots, onProgress, signal: options.signal };
    const measured = source.measure && (await this.during("eval", async () => source.measure?.(options.model, config.evalProblems, measure)));
    const loss =
      source.heldOut.length > 0
        ? await this.during("eval", () => heldOutLoss(options.model, this.heldOut(), config.maxTokensPerBatch, options.signal))
        : undefined;
    const accuracy = measured?.accuracy;
    state.evaluatedStep = state.step;
    if (accuracy === undefined && loss === undefined) return;
    if (accuracy !== undefined) state.accuracies.push({ step: state.step, accuracy });
    if (loss !== undefined) state.losses = [...(state.losses ?? []), { step: state.step, loss }];
    if (config.stopAccuracy > 0 && state.step > 0 && accuracy !== undefined && accuracy >= config.stopAccuracy) state.reached = true;
    const { seconds } = this.takeTimes();
    const row = { step: state.step, "eval/accuracy": accuracy, "eval/loss": loss, "eval/truncated": measured?.truncated, "time/eval": seconds.eval };
    await options.run?.appendMetrics(metricRow(row));
    options.onEvent?.({ type: "eval", trainer: "sft", step: state.step, steps: config.steps, accuracy, loss });
  }

  private heldOut(): readonly LearnedTokens[] {
    const { heldOut } = this.source;
    return this.config.evalProblems === 0 ? heldOut : heldOut.slice(0, this.config.evalProblems);
  }

  /** Saves the checkpoint of the last complete step, once. */
  async save(): Promise<void> {
    const { run, model, onEvent } = this.options;
    if (!run || this.savedStep === this.state.step) return;
    const dir = await this.during("save", () =>
      run.saveCheckpoint(this.state.step, this.state, async (dir) => {
        const card = sftCard(this.options.task?.name, this.config, this.state.step, this.loss, this.state.accuracies);
        await model.save(join(dir, "policy"), { dtype: "float32", card });
        await model.saveOptimizer(join(dir, "policy.optimizer.safetensors"));
        await this.source.tokenizer.save(join(dir, "policy"));
      }),
    );
    this.savedStep = this.state.step;
    onEvent?.({ type: "checkpoint", trainer: "sft", step: this.state.step, dir });
  }

  async resume({ state, dir, step }: ResumePoint): Promise<void> {
    const found = state as Partial<SftState> | null;
    if (found?.version !== 1 || found.step !== step || !found.accuracies) {
      throw new PrimekitError("ERR_CHECKPOINT", `The checkpoint ${dir} holds no state of a fine-tuning run at step ${step}.`);
    }
    this.state = structuredClone(found as SftState);
    this.savedStep = step;
    const saved = await Model.load(join(dir, "policy"), { device: this.options.model.device, trainable: false });
    try {
      await this.options.model.copyFrom(saved);
    } finally {
      saved.close();
    }
    await this.options.model.loadOptimizer(join(dir, "policy.optimizer.safetensors"));
    await this.options.run?.truncateMetricsAfter(step, { evaluated: this.state.evaluatedStep === step });
  }

  result(): SftResult {
    const { config, state } = this;
    this.takeTimes();
    const stopped = state.evaluatedStep !== state.step || !(state.reached || state.step >= config.steps);
    return {
      stopped,
      step: state.step,
      loss: this.loss,
      accuracyBefore: state.accuracies.find((point) => point.step === 0)?.accuracy,
      accuracyAfter: stopped ? undefined : state.accuracies.at(-1)?.accuracy,
      heldOutLossBefore: state.losses?.find((point) => point.step === 0)?.loss,
      heldOutLossAfter: stopped ? undefined : state.losses?.at(-1)?.loss,
      tokens: state.tokens,
      seconds: state.seconds,
      skippedUpdates: state.skips.total,
    };
  }

  private during<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    this.options.onEvent?.({ type: "phase", trainer: "sft", phase, step: this.state.step, steps: this.config.steps });
    return this.clock.time(phase, work);
  }

  private takeTimes(): { seconds: Record<string, number>; elapsed: number } {
    const { seconds } = this.clock;
    const elapsed = this.clock.elapsed();
    for (const [phase, s] of Object.entries(seconds)) this.state.seconds[phase] = (this.state.seconds[phase] ?? 0) + s;
    this.clock = new PhaseClock();
    return { seconds, elapsed };
  }
}
