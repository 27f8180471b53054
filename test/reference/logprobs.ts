// Float64 oracles of token log-probs, written from the definition.

export interface LogprobRow {
  logprob: number;
  entropy: number;
  probabilities: Float64Array;
}

export function logprobRow(logits: ArrayLike<number>, target: number, temperature: number): LogprobRow {
  let maximum = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < logits.length; j++) maximum = Math.max(maximum, logits[j] / temperature);
  let total = 0;
  for (let j = 0; j < logits.length; j++) total += Math.exp(logits[j] / temperature - maximum);
  const probabilities = new Float64Array(logits.length);
  let entropy = 0;
  for (let j = 0; j < logits.length; j++) {
    const logProbability = logits[j] / temperature - maximum - Math.log(total);
    probabilities[j] = Math.exp(logProbability);
    if (probabilities[j] > 0) entropy -= probabilities[j] * logProbability;
  }
  return { logprob: logits[target] / temperature - maximum - Math.log(total), entropy, probabilities };
}

export function tokenLogprobsReference(logits: ArrayLike<number>, targets: ArrayLike<number>, vocabSize: number, temperature = 1, rowStride = vocabSize) {
  const logprobs = new Float64Array(targets.length);
  const entropy = new Float64Array(targets.length);
  for (let i = 0; i < targets.length; i++) {
    const row = logprobRow(Array.prototype.slice.call(logits, i * rowStride, i * rowStride + vocabSize), targets[i], temperature);
    logprobs[i] = row.logprob;
    entropy[i] = row.entropy;
  }
  return { logprobs, entropy };
}

/** d/dz_j of logprob is (1[j = target] - p_j)/T, of entropy -p_j (log p_j + H)/T. */
export function tokenLogprobsBackwardReference(
  logits: ArrayLike<number>,
  targets: ArrayLike<number>,
  dLogprobs: ArrayLike<number>,
  dEntropy: ArrayLike<number> | undefined,
  vocabSize: number,
  temperature = 1,
): Float64Array {
  const gradient = new Float64Array(targets.length * vocabSize);
  for (let i = 0; i < targets.length; i++) {
    const { probabilities, entropy } = logprobRow(Array.prototype.slice.call(logits, i * vocabSize, (i + 1) * vocabSize), targets[i], temperature);
    for (let j = 0; j < vocabSize; j++) {
      const p = probabilities[j];
      let g = dLogprobs[i] * ((j === targets[i] ? 1 : 0) - p);
      if (dEntropy && p > 0) g -= dEntropy[i] * p * (Math.log(p) + entropy);
      gradient[i * vocabSize + j] = g / temperature;
    }
  }
  return gradient;
}

/** hidden [N, C] @ weight [V, C]^T */
export function project(hidden: ArrayLike<number>, weight: ArrayLike<number>, hiddenSize: number): Float64Array {
  const n = hidden.length / hiddenSize;
  const v = weight.length / hiddenSize;
  const logits = new Float64Array(n * v);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < v; j++) {
      let sum = 0;
      for (let c = 0; c < hiddenSize; c++) sum += hidden[i * hiddenSize + c] * weight[j * hiddenSize + c];
      logits[i * v + j] = sum;
    }
  }
  return logits;
}

/** Gradients by hidden and weight, given those by the logits. */
export function projectBackward(dLogits: ArrayLike<number>, hidden: ArrayLike<number>, weight: ArrayLike<number>, hiddenSize: number) {
  const n = hidden.length / hiddenSize;
  const v = weight.length / hiddenSize;
  const dHidden = new Float64Array(hidden.length);
  const dWeight = new Float64Array(weight.length);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < v; j++) {
      const g = dLogits[i * v + j];
      for (let c = 0; c < hiddenSize; c++) {
        dHidden[i * hiddenSize + c] += g * weight[j * hiddenSize + c];
        dWeight[j * hiddenSize + c] += g * hidden[i * hiddenSize + c];
      }
    }
  }
  return { dHidden, dWeight };
}

/** bfloat16 bits of float32 values, to nearest even, and back. */
export function toBfloat16(values: Float32Array): { bits: Uint16Array; rounded: Float32Array } {
  const words = new Uint32Array(values.slice().buffer);
  const bits = Uint16Array.from(words, (u) => Math.floor((u + 0x7fff + ((u >>> 16) & 1)) / 65536) & 0xffff);
  const rounded = new Float32Array(Uint32Array.from(bits, (b) => b * 65536).buffer);
  return { bits, rounded };
}
