// What a PRM run reports: a metrics row per step and per evaluation on the held-out answers.

import { type LabelledRow, type PrmUpdate, prmBatchLoss } from "../algo/prm_update.ts";
import { type MetricValues, metricRow } from "./metrics.ts";
import type { PrmConfig } from "./prm_config.ts";
import { batchQuality } from "./prm_data.ts";

/** One batch and what its update made of it; log-probs [N] lie along responseOffsets(rows). */
export interface StepReport {
  step: number; // the one that the update completed
  lr: number;
  rows: readonly LabelledRow[];
  reference: Float32Array; // [N]
  update: PrmUpdate;
  beta: number;
  skipped: number; // updates skipped so far
  seconds: Record<string, number>; // by phase
  elapsed: number; // of the whole step
}

/** The row of a step. Quality is that of the PRM before the update. */
export function stepMetrics({ step, lr, rows, reference, update, beta, skipped, seconds, elapsed }: StepReport): MetricValues {
  const quality = batchQuality(rows, update.logprobs, reference, beta);
  return metricRow({
    step,
    lr,
    "prm/loss": update.skipped ? undefined : update.loss,
    "prm/gradNorm": update.skipped ? undefined : update.gradNorm,
    "prm/rows": rows.length,
    "prm/accuracy": quality.accuracy,
    "prm/auc": quality.auc,
    "prm/calibration": quality.calibration,
    "prm/margin": quality.margin,
    "prm/steps": quality.steps || undefined,
    "prm/stepAuc": quality.stepAuc,
    "prm/skipped": skipped,
    "time/prm": seconds.prm,
    "time/step": elapsed,
    "time/tokensPerSecond": rows.reduce((sum, { prompt, response }) => sum + prompt.length + response.length, 0) / elapsed,
  });
}

/** The held-out rows with log-probs [N] of the PRM and its reference, along responseOffsets(rows). */
export interface HeldOutReport extends Pick<PrmConfig, "loss" | "beta"> {
  step: number;
  rows: readonly LabelledRow[];
  reference: Float32Array;
  logprobs: Float32Array;
  seconds: Record<string, number>;
}

/** The row of an evaluation: loss and quality on the held-out answers. */
export function heldOutMetrics({ step, rows, reference, logprobs, loss, beta, seconds }: HeldOutReport): MetricValues {
  const quality = batchQuality(rows, logprobs, reference, beta);
  return metricRow({
    step,
    "eval/prmLoss": prmBatchLoss(rows, logprobs, reference, { loss, beta }),
    "eval/prmAccuracy": quality.accuracy,
    "eval/prmAuc": quality.auc,
    "eval/prmCalibration": quality.calibration,
    "eval/prmMargin": quality.margin,
    "eval/prmStepAuc": quality.stepAuc,
    "time/eval": seconds.eval,
  });
}
