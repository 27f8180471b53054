// Training an implicit PRM from labelled answers: of whole answers (stage 1), of steps (stage 2), or both.

import { join } from "node:path";
import { updatePrm } from "../algo/prm_update.ts";
import { learningRate } from "../algo/schedule.ts";
import { countSkips, type SkipCounter } from "../algo/update.ts";
import type { PromptFormat } from "../data/prm/encode.ts";
import type { PrmExample } from "../data/prm/example.ts";
import { PrimekitError } from "../errors.ts";
import { cachedLogprobs, type LogprobCache } from "../eval/logprob_cache.ts";
import { Model } from "../model.ts";
import { concat, range, responseOffsets } from "../rollout/pack.ts";
import { scoreRows } from "../rollout/score.ts";
import type { RunFolder } from "../run/run_folder.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { OnEvent, Phase, ResumePoint } from "./events.ts";
import { type MetricValues, PhaseClock } from "./metrics.ts";
import { type PrmConfig, type PrmConfigInput, parsePrmConfig } from "./prm_config.ts";
import { nextBatch, type PrmCursor, type PrmData, preparePrmData, totalSteps } from "./prm_data.ts";
import { heldOutMetrics, stepMetrics } from "./prm_report.ts";
import { unlessAborted } from "./stop.ts";

export interface PrmRunOptions {
  config: PrmConfigInput;
  tokenizer: Tokenizer;
  examples: readonly PrmExample[] | PrmData; // or what preparePrmData() made of them
  promptFormat?: PromptFormat;
  model: Model; // trained in place
  /** Frozen. Default: the model as it is at the start. */
  reference?: Model;
  /** Where the reference's log-probs are kept. Without it they are computed at every start. */
  referenceCache?: LogprobCache;
  run?: Pick<RunFolder, "appendMetrics" | "saveCheckpoint" | "truncateMetricsAfter">;
  resume?: ResumePoint; // with the default reference, `model` must again be the initial model
  signal?: AbortSignal; // stops after the step under way, with a checkpoint
  onEvent?: OnEvent;
}

/** Everything beside weights and optimizer that the next step depends on, as JSON. */
export interface PrmState {
  version: 1;
  step: number;
  cursor: PrmCursor;
  skips: SkipCounter;
  evaluatedStep: number; // -1: never
  evaluations: { step: number; metrics: MetricValues }[];
  rows: number; // answers trained on
  seconds: Record<string, number>;
}

export interface PrmResult {
  stopped: boolean; // by the signal
  step: number;
  before: MetricValues | undefined; // held-out: eval/prm…
  after: MetricValues | undefined;
  rows: number;
  seconds: Record<string, number>; // by phase
  skippedUpdates: number;
}

/**
 * Trains `model` in place. Bit-identical for equal config, examples and start, whether resumed or not.
 * Throws ERR_CONFIG, ERR_DATA (examples that cannot be used), ERR_CHECKPOINT, ERR_NON_FINITE (too many skipped updates in a row) and what model and run folder throw.
 */
export async function runPrm(options: PrmRunOptions): Promise<PrmResult> {
  const t = new PrmTrainer(options);
  const work = async () => {
    await t.prepare();
    if (options.resume) await t.resume(options.resume);
    else await options.model.resetOptimizer(); // the first step is AdamW's first, whatever the model went through before
    t.ready = true;
    await t.train();
  };
  await unlessAborted(options.signal, work);
  if (options.signal?.aborted && t.ready) await t.save();
  return t.result();
}

// --- internal ---

class PrmTrainer {
  /** The state is that of the run: an abort before this has nothing to save. */
  ready = false;
  private readonly options: PrmRunOptions;
  private readonly config: PrmConfig;
  private readonly data: PrmData;
  private readonly steps: number;
  private reference: Float32Array = new Float32Array(0); // [N] of all rows
  private readonly offsets: Int32Array;
  private state: PrmState = {
    version: 1,
    step: 0,
    cursor: { answers: 0, steps: 0 },
    skips: { total: 0, inARow: 0 },
    evaluatedStep: -1,
    evaluations: [],
    rows: 0,
    seconds: {},
  };
  private savedStep = -1;
  private clock = new PhaseClock();

  constructor(options: PrmRunOptions) {
    this.options = options;
    this.config = parsePrmConfig(options.config);
    const { promptFormat, tokenizer, examples } = options;
    this.data = "rows" in examples ? examples : preparePrmData(tokenizer, examples, { ...this.config, promptFormat });
    this.offsets = responseOffsets(this.data.rows);
    this.steps = totalSteps(this.data, this.config);
  }

  /** The reference's log-probs of every row, before anything is trained. */
  async prepare(): Promise<void> {
    const { reference, model, referenceCache: cache, signal } = this.options;
    const { truncated } = this.data;
    if (truncated > 0) this.warn(`${truncated} answers were cut to ${this.config.maxLength} tokens.`);
    const onProgress = (done: number, total: number) => this.announce("score", done, total);
    const scoring = { maxTokensPerBatch: this.config.maxTokensPerBatch, signal, cache, onProgress, onWarning: (message: string) => this.warn(message) };
    this.reference = await this.during("score", () => cachedLogprobs(reference ?? model, this.data.rows, scoring));
  }

  async train(): Promise<void> {
    const { config, state, options, steps } = this;
    const every = (period: number) => state.step >= steps || (period > 0 && state.step > 0 && state.step % period === 0);
    while (!options.signal?.aborted) {
      if ((state.step === 0 || every(config.evalEvery)) && state.evaluatedStep !== state.step) await this.evaluate();
      if (every(config.saveEvery)) await this.save();
      if (state.step >= steps) return;
      await this.trainStep();
    }
  }

  private async trainStep(): Promise<void> {
    const { config, state, options, data, steps } = this;
    const batch = nextBatch(data, state.cursor, config);
    const rows = batch.rows.map((row) => data.rows[row]);
    const reference = this.referenceOf(batch.rows);
    const lr = learningRate(state.step, { ...config, steps });
    const update = await this.during("prm", () => updatePrm(options.model, rows, reference, { ...config, lr, betas: [0.9, config.beta2] }));
    countSkips(state.skips, update.skipped, "the PRM", config.maxSkippedUpdates);
    state.step++;
    state.cursor = batch.cursor;
    state.rows += rows.length;
    const row = stepMetrics({ step: state.step, lr, rows, reference, update, beta: config.beta, skipped: state.skips.total, ...this.takeTimes() });
    await options.run?.appendMetrics(row);
    options.onEvent?.({ type: "step", trainer: "prm", step: state.step, steps, metrics: row });
  }

  /** Held-out loss and quality; nothing without held-out rows. */
  private async evaluate(): Promise<void> {
    const { config, state, options, data, steps } = this;
    const { maxTokensPerBatch } = config;
    const heldOut = range(data.rows.length).slice(data.trained);
    const rows = heldOut.map((row) => data.rows[row]);
    const logprobs = await this.during("eval", () => scoreRows(options.model, rows, { maxTokensPerBatch, signal: options.signal }));
    state.evaluatedStep = state.step;
    if (rows.length === 0) return;
    const reference = this.referenceOf(heldOut);
    const metrics = heldOutMetrics({ step: state.step, rows, reference, logprobs, loss: config.loss, beta: config.beta, seconds: this.takeTimes().seconds });
    state.evaluations.push({ step: state.step, metrics: Object.fromEntries(Object.entries(metrics).filter(([name]) => !name.startsWith("time/"))) });
    await options.run?.appendMetrics(metrics);
    options.onEvent?.({ type: "eval", trainer: "prm", step: state.step, steps, accuracy: metrics["eval/prmAccuracy"] ?? Number.NaN });
  }

  /** Saves the checkpoint of the last complete step, once. */
  async save(): Promise<void> {
    const { run, model, tokenizer, onEvent } = this.options;
    if (!run || this.savedStep === this.state.step) return;
    const dir = await this.during("save", () =>
      run.saveCheckpoint(this.state.step, this.state, async (dir) => {
        await model.save(join(dir, "prm"), { dtype: "float32" });
        await model.saveOptimizer(join(dir, "prm.optimizer.safetensors"));
        await tokenizer.save(join(dir, "prm"));
      }),
    );
    this.savedStep = this.state.step;
    onEvent?.({ type: "checkpoint", trainer: "prm", step: this.state.step, dir });
  }

  async resume({ state, dir, step }: ResumePoint): Promise<void> {
    const found = state as Partial<PrmState> | null;
    if (found?.version !== 1 || found.step !== step || !found.cursor) {
      throw new PrimekitError("ERR_CHECKPOINT", `The checkpoint ${dir} holds no state of a PRM run at step ${step}.`);
    }
    this.state = structuredClone(found as PrmState);
    this.savedStep = step;
    const saved = await Model.load(join(dir, "prm"), { trainable: false, device: this.options.model.device });
    try {
      await this.options.model.copyFrom(saved);
    } finally {
      saved.close();
    }
    await this.options.model.loadOptimizer(join(dir, "prm.optimizer.safetensors"));
    await this.options.run?.truncateMetricsAfter(step, { evaluated: this.state.evaluatedStep === step });
  }

  result(): PrmResult {
    const { state } = this;
    this.takeTimes();
    const metricsAt = (step: number) => state.evaluations.find((evaluation) => evaluation.step === step)?.metrics;
    const stopped = state.step < this.steps || state.evaluatedStep !== state.step;
    const after = stopped ? undefined : metricsAt(state.step);
    return { stopped, step: state.step, before: metricsAt(0), after, rows: state.rows, seconds: state.seconds, skippedUpdates: state.skips.total };
  }

  private referenceOf(rows: readonly number[]): Float32Array {
    return concat(rows.map((row) => this.reference.subarray(this.offsets[row], this.offsets[row + 1])));
  }

  private warn(message: string): void {
    this.options.onEvent?.({ type: "warning", trainer: "prm", step: this.state.step, message });
  }

  private announce(phase: Phase, done?: number, total?: number): void {
    this.options.onEvent?.({ type: "phase", trainer: "prm", phase, step: this.state.step, steps: this.steps, done, total });
  }

  private during<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    this.announce(phase);
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
