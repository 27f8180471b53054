// Learning-rate schedules, by name.

export interface ScheduleOptions {
  lr: number;
  warmupSteps: number; // linear, and never 0 on the first step
  decay: Decay;
  finalLrRatio: number; // of lr, at the last step
  steps: number; // in the whole run
}

/** Share of the way down from 1 to finalLrRatio that remains at `progress` in 0..1. */
const decays = {
  constant: () => 1,
  linear: (progress: number) => 1 - progress,
  cosine: (progress: number) => 0.5 * (1 + Math.cos(Math.PI * progress)),
} as const satisfies Record<string, (progress: number) => number>;

export type Decay = keyof typeof decays;

/** The learning rate of step 0 … steps-1. */
export function learningRate(step: number, o: ScheduleOptions): number {
  if (step < o.warmupSteps) return (o.lr * (step + 1)) / o.warmupSteps;
  const progress = Math.min(1, (step - o.warmupSteps) / Math.max(1, o.steps - 1 - o.warmupSteps));
  return o.lr * (o.finalLrRatio + (1 - o.finalLrRatio) * decays[o.decay](progress));
}
