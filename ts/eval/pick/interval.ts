// Means over problems with bootstrap intervals.
import { Draws } from "../../data/random.ts";

export interface Estimate {
  value: number; // mean over the problems
  low: number; // bounds of the 95 % interval, by resampling problems
  high: number;
}

export type Estimator = (values: readonly number[]) => Estimate;

const STREAM = 0x426f_6f74;

/**
 * Estimates means over `n` problems with their 95 % percentile bootstrap intervals; a pure function of the values and the seed. All metrics are
 * resampled alike, so that their intervals can be compared. No problems: all 0.
 */
export function bootstrap(n: number, { resamples = 1000, seed = 0 } = {}): Estimator {
  const draws = new Draws(seed, STREAM, n);
  const picks = Uint32Array.from({ length: n * resamples }, () => Math.floor((draws.next() / 2 ** 32) * n)); // [resamples, n]
  return (values) => {
    if (n === 0) return { value: 0, low: 0, high: 0 };
    const means = new Float64Array(resamples);
    for (let r = 0; r < resamples; r++) {
      let sum = 0;
      for (let i = r * n; i < (r + 1) * n; i++) sum += values[picks[i]];
      means[r] = sum / n;
    }
    means.sort();
    return { value: values.reduce((sum, x) => sum + x, 0) / n, low: quantile(means, 0.025), high: quantile(means, 0.975) };
  };
}

// --- internal ---

function quantile(sorted: Float64Array, q: number): number {
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}
