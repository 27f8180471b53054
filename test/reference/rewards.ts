// Float64 oracles of implicit rewards, step rewards and advantages, straight from PRIME's formulas.

type Numbers = ArrayLike<number>;

function logRatio(a: number, b: number): number {
  return a === b ? 0 : a - b; // the same infinity on both sides is no difference
}

export function implicitRewardsReference(prm: Numbers, ref: Numbers, offsets: Numbers, beta: number) {
  const rewards = new Float64Array(prm.length);
  const q = new Float64Array(prm.length);
  const scores = new Float64Array(offsets.length - 1);
  for (let row = 0; row + 1 < offsets.length; row++) {
    let sum = 0;
    for (let t = offsets[row]; t < offsets[row + 1]; t++) {
      rewards[t] = beta * logRatio(prm[t], ref[t]);
      sum += rewards[t];
      q[t] = sum;
    }
    scores[row] = sum;
  }
  return { rewards, q, scores };
}

export function stepRewardsReference(q: Numbers, offsets: Numbers, stepEnds: Numbers, stepOffsets: Numbers) {
  const cumulative = new Float64Array(stepEnds.length);
  const perStep = new Float64Array(stepEnds.length);
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let s = stepOffsets[row]; s < stepOffsets[row + 1]; s++) {
      cumulative[s] = q[offsets[row] + stepEnds[s]];
      perStep[s] = s === stepOffsets[row] ? cumulative[s] : cumulative[s] - cumulative[s - 1];
    }
  }
  return { cumulative, perStep };
}

export interface AdvantageCase {
  processRewards?: Numbers;
  outcomeRewards?: Numbers;
  offsets: Numbers;
  groupOffsets: Numbers;
  gammaProcess?: number;
  gammaOutcome?: number;
  processCoef?: number;
  outcomeCoef?: number;
  baseline?: "leave-one-out" | "released";
  normalizeProcess?: "batch" | "none";
  whiten?: boolean;
}

function normalized(x: Float64Array, offsets: Numbers): Float64Array {
  let largest = 0;
  for (let row = 0; row + 1 < offsets.length; row++) {
    let sum = 0;
    for (let t = offsets[row + 1] - 1; t >= offsets[row]; t--) {
      sum += x[t];
      largest = Math.max(largest, Math.abs(sum));
    }
  }
  return x.map((value) => value / (largest + 1e-6));
}

function meanOf(x: Numbers, begin: number, end: number): number {
  let sum = 0;
  for (let t = begin; t < end; t++) sum += x[t];
  return end > begin ? sum / (end - begin) : 0;
}

/** Per-token shaped rewards of the process source: Eq. 5, or what the released code computes. */
function shapedProcess(x: Float64Array, c: AdvantageCase): Float64Array {
  const shaped = new Float64Array(x.length);
  for (let p = 0; p + 1 < c.groupOffsets.length; p++) {
    const rows = Array.from({ length: c.groupOffsets[p + 1] - c.groupOffsets[p] }, (_, k) => c.groupOffsets[p] + k);
    const means = rows.map((row) => meanOf(x, c.offsets[row], c.offsets[row + 1]));
    rows.forEach((row, k) => {
      let others = 0;
      for (let j = 0; j < rows.length; j++) if (j !== k) others += means[j];
      const groupMean = (others + means[k]) / rows.length;
      for (let t = c.offsets[row]; t < c.offsets[row + 1]; t++) {
        shaped[t] = c.baseline === "released" ? (rows.length / (rows.length - 1)) * (x[t] - groupMean) : x[t] - others / (rows.length - 1);
      }
    });
  }
  return shaped;
}

function shapedOutcome(outcomes: Numbers, c: AdvantageCase, tokens: number): Float64Array {
  const shaped = new Float64Array(tokens);
  for (let p = 0; p + 1 < c.groupOffsets.length; p++) {
    const size = c.groupOffsets[p + 1] - c.groupOffsets[p];
    for (let row = c.groupOffsets[p]; row < c.groupOffsets[p + 1]; row++) {
      let others = 0;
      for (let j = c.groupOffsets[p]; j < c.groupOffsets[p + 1]; j++) if (j !== row) others += outcomes[j];
      if (c.offsets[row + 1] > c.offsets[row]) shaped[c.offsets[row + 1] - 1] = outcomes[row] - others / (size - 1);
    }
  }
  return shaped;
}

function discountedReturns(x: Float64Array, offsets: Numbers, gamma: number): Float64Array {
  const returns = new Float64Array(x.length);
  for (let row = 0; row + 1 < offsets.length; row++) {
    let sum = 0;
    for (let t = offsets[row + 1] - 1; t >= offsets[row]; t--) {
      sum = x[t] + gamma * sum;
      returns[t] = sum;
    }
  }
  return returns;
}

export function primeAdvantagesReference(c: AdvantageCase) {
  const tokens = c.offsets[c.offsets.length - 1];
  const returns = new Float64Array(tokens);
  const add = (coef: number, values: Float64Array) => {
    for (let t = 0; t < tokens; t++) returns[t] += coef * values[t];
  };
  if (c.processRewards) {
    const raw = Float64Array.from(c.processRewards);
    const x = c.normalizeProcess === "batch" ? normalized(raw, c.offsets) : raw;
    add(c.processCoef ?? 1, discountedReturns(shapedProcess(x, c), c.offsets, c.gammaProcess ?? 1));
  }
  if (c.outcomeRewards) add(c.outcomeCoef ?? 1, discountedReturns(shapedOutcome(c.outcomeRewards, c, tokens), c.offsets, c.gammaOutcome ?? 1));
  if (c.whiten === false) return { advantages: returns.slice(), returns };
  const mean = meanOf(returns, 0, tokens);
  let squares = 0;
  for (const value of returns) squares += (value - mean) ** 2;
  const deviation = Math.sqrt((tokens > 1 ? squares / (tokens - 1) : 0) + 1e-8);
  return { advantages: returns.map((value) => (value - mean) / deviation), returns };
}
