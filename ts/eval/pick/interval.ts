// Means over problems with bootstrap intervals.
import { Draws } from "../../data/random.ts";

export interface Estimate {
  value: number; // mean over the problems
  low: number; // bounds of the 95 % interval, by resampling problems
  high: number;
}

const STREAM = 0x426f6f74;

/** The mean of per-problem values and its 95 % percentile bootstrap interval; a pure function of the values and the seed. No values: all 0. */
export function estimate(values: readonly number[], { resamples = 1000, seed = 0 } = {}): Estimate {
  const n = values.length;
  if (n === 0) return { value: 0, low: 0, high: 0 };
  const draws = new Draws(seed, STREAM, n);
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[Math.floor((draws.next() / 2 ** 32) * n)];
    return sum / n;
  }).sort();
  return { value: values.reduce((sum, x) => sum + x, 0) / n, low: quantile(means, 0.025), high: quantile(means, 0.975) };
}

// --- internal ---

function quantile(sorted: Float64Array, q: number): number {
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}
