// The model's ops in float64, written from their definitions, as plainly as possible. Matrices are row-major number arrays.

export interface Heads {
  heads: number; // NH
  kvHeads: number; // NKV
  headSize: number; // HD
}

/** op(a) @ op(b) + bias: [M, N]; a is [M, K] or transposed [K, M], b is [K, N] or transposed [N, K]. */
export function matmul(
  m: number,
  n: number,
  k: number,
  a: ArrayLike<number>,
  transposeA: boolean,
  b: ArrayLike<number>,
  transposeB: boolean,
  bias?: ArrayLike<number>,
): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = bias ? bias[j] : 0;
      for (let l = 0; l < k; l++) sum += a[transposeA ? l * m + i : i * k + l] * b[transposeB ? j * k + l : l * n + j];
      out[i * n + j] = sum;
    }
  }
  return out;
}

/** x / sqrt(mean(x²) + eps) * weight of every row [N, C]. */
export function rmsnorm(x: ArrayLike<number>, weight: ArrayLike<number>, eps: number): Float64Array {
  const c = weight.length;
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += c) {
    let squares = 0;
    for (let j = 0; j < c; j++) squares += x[at + j] ** 2;
    const rstd = 1 / Math.sqrt(squares / c + eps);
    for (let j = 0; j < c; j++) out[at + j] = x[at + j] * rstd * weight[j];
  }
  return out;
}

/** Rotates q and k [N, QKV] by their positions: the pair (d, d + HD/2) by the angle position * theta^(-2d/HD). */
export function rope(qkv: ArrayLike<number>, positions: ArrayLike<number>, shape: Heads, theta: number): Float64Array {
  const { heads, kvHeads, headSize } = shape;
  const width = (heads + 2 * kvHeads) * headSize;
  const half = headSize / 2;
  const out = Float64Array.from(qkv);
  for (let i = 0; i < positions.length; i++) {
    for (let h = 0; h < heads + kvHeads; h++) {
      for (let d = 0; d < half; d++) {
        const angle = positions[i] * theta ** ((-2 * d) / headSize);
        const at = i * width + h * headSize + d;
        out[at] = qkv[at] * Math.cos(angle) - qkv[at + half] * Math.sin(angle);
        out[at + half] = qkv[at + half] * Math.cos(angle) + qkv[at] * Math.sin(angle);
      }
    }
  }
  return out;
}

/** Causal grouped-query attention of packed qkv [N, QKV], row by row of the batch: out [N, NH*HD], lse [N, NH]. */
export function attention(qkv: ArrayLike<number>, offsets: ArrayLike<number>, shape: Heads): { out: Float64Array; lse: Float64Array } {
  const { heads, kvHeads, headSize } = shape;
  const width = (heads + 2 * kvHeads) * headSize;
  const n = offsets[offsets.length - 1];
  const out = new Float64Array(n * heads * headSize);
  const lse = new Float64Array(n * heads);
  const dot = (a: number, b: number) => {
    let sum = 0;
    for (let d = 0; d < headSize; d++) sum += qkv[a + d] * qkv[b + d];
    return sum;
  };
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let i = offsets[row]; i < offsets[row + 1]; i++) {
      for (let h = 0; h < heads; h++) {
        const kv = Math.floor((h * kvHeads) / heads);
        const scores: number[] = [];
        for (let j = offsets[row]; j <= i; j++) scores.push(dot(i * width + h * headSize, j * width + (heads + kv) * headSize) / Math.sqrt(headSize));
        const top = Math.max(...scores);
        const sum = scores.reduce((total, s) => total + Math.exp(s - top), 0);
        lse[i * heads + h] = top + Math.log(sum);
        for (const [j, s] of scores.entries()) {
          const value = (offsets[row] + j) * width + (heads + kvHeads + kv) * headSize;
          for (let d = 0; d < headSize; d++) out[(i * heads + h) * headSize + d] += (Math.exp(s - top) / sum) * qkv[value + d];
        }
      }
    }
  }
  return { out, lse };
}

/** silu(gate) * up; gate is the first F columns of each row of gateUp [N, 2F], up the last. */
export function swiglu(gateUp: ArrayLike<number>, f: number): Float64Array {
  const n = gateUp.length / (2 * f || 1);
  const out = new Float64Array(n * f);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < f; j++) {
      const gate = gateUp[i * 2 * f + j];
      out[i * f + j] = (gate / (1 + Math.exp(-gate))) * gateUp[i * 2 * f + f + j];
    }
  }
  return out;
}

/** log softmax(hidden @ weightᵀ / temperature) at the targets [N], and its entropy [N] in nats. */
export function linearLogprobs(
  hidden: ArrayLike<number>,
  weight: ArrayLike<number>,
  targets: ArrayLike<number>,
  vocab: number,
  temperature: number,
): { logprobs: Float64Array; entropy: Float64Array } {
  const n = targets.length;
  const c = weight.length / vocab;
  const logprobs = new Float64Array(n);
  const entropy = new Float64Array(n);
  const logits = matmul(n, vocab, c, hidden, false, weight, true);
  for (let i = 0; i < n; i++) {
    const z = logits.subarray(i * vocab, (i + 1) * vocab).map((x) => x / temperature);
    const top = z.reduce((a, b) => Math.max(a, b));
    const lse = top + Math.log(z.reduce((sum, x) => sum + Math.exp(x - top), 0));
    logprobs[i] = z[targets[i]] - lse;
    entropy[i] = -z.reduce((sum, x) => sum + Math.exp(x - lse) * (x - lse), 0);
  }
  return { logprobs, entropy };
}

export interface AdamW {
  lr: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  step: number; // 1 for the first
  gradScale: number;
}

/** One AdamW update (Loshchilov & Hutter 2019, algorithm 2, decoupled decay) of one parameter. */
export function adamw(p: number, g: number, m: number, v: number, s: AdamW): { p: number; m: number; v: number } {
  const gradient = g * s.gradScale;
  const first = s.beta1 * m + (1 - s.beta1) * gradient;
  const second = s.beta2 * v + (1 - s.beta2) * gradient ** 2;
  const corrected = first / (1 - s.beta1 ** s.step) / (Math.sqrt(second / (1 - s.beta2 ** s.step)) + s.eps);
  return { p: p - s.lr * s.weightDecay * p - s.lr * corrected, m: first, v: second };
}

/** d/dx of sum(f(x) * dOut) for every element of x, by central differences of a float64 function: exact to about 1e-9. */
export function numericalGradient(
  x: ArrayLike<number>,
  dOut: ArrayLike<number>,
  f: (x: Float64Array) => ArrayLike<number>,
  elements?: ArrayLike<number>,
): Float64Array {
  const point = Float64Array.from(x);
  const loss = () => {
    const out = f(point);
    let sum = 0;
    for (let i = 0; i < out.length; i++) sum += out[i] * dOut[i];
    return sum;
  };
  const which: ArrayLike<number> = elements ?? Array.from(point.keys());
  const h = 1e-5;
  return Float64Array.from(which, (i) => {
    const at = point[i];
    point[i] = at + h;
    const up = loss();
    point[i] = at - h;
    const down = loss();
    point[i] = at;
    return (up - down) / (2 * h);
  });
}
