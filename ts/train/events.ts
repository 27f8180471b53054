// What a trainer tells its caller while it runs. Trainers never print.

import type { MetricValues } from "./metrics.ts";

export type Phase = "rollout" | "verify" | "score" | "prm" | "policy" | "train" | "eval" | "save";

export type TrainerName = "sft" | "prime" | "prm";

export type TrainEvent =
  /** Work on `phase` of the step after `step` goes on; done/total count sequences where known. */
  | { type: "phase"; trainer: TrainerName; phase: Phase; step: number; steps: number; done?: number; total?: number }
  /** Step number `step` (1 … steps) is complete. */
  | { type: "step"; trainer: TrainerName; step: number; steps: number; metrics: MetricValues }
  | { type: "eval"; trainer: TrainerName; step: number; steps: number; accuracy?: number; loss?: number }
  | { type: "checkpoint"; trainer: TrainerName; step: number; dir: string }
  | { type: "warning"; trainer: TrainerName; step: number; message: string };

export type OnEvent = (event: TrainEvent) => void;

/** A point to go on from: what RunFolder.newestCheckpoint() returns. */
export interface ResumePoint {
  step: number;
  dir: string;
  state: unknown;
}
