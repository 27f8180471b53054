import { afterAll, describe, expect, test } from "bun:test";
import { linearLogprobs, linearLogprobsAsync, linearLogprobsBackward, linearLogprobsBackwardAsync } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { project, projectBackward, toBfloat16, tokenLogprobsBackwardReference, tokenLogprobsReference } from "../reference/logprobs.ts";
import { atOddOffset, expectClose, finiteDifferences, Random, sameBits } from "../reference/random.ts";

const random = new Random(2);
afterAll(() => native().setThreads(0));

function makeCase(n: number, hiddenSize: number, vocabSize: number) {
  return {
    hidden: random.normals(n * hiddenSize),
    weight: random.normals(vocabSize * hiddenSize, 1 / Math.sqrt(hiddenSize)),
    targets: random.tokens(n, vocabSize),
  };
}

describe("linearLogprobs", () => {
  for (const [n, hiddenSize, vocabSize, temperature] of [
    [1, 1, 1, 1],
    [1, 8, 5, 1],
    [70, 16, 64, 0.7],
    [9, 24, 4097, 1.2], // three vocabulary chunks
    [2, 4, 151936, 1],
  ]) {
    test(`agrees with float64: N=${n} C=${hiddenSize} V=${vocabSize} at temperature ${temperature}`, () => {
      const { hidden, weight, targets } = makeCase(n, hiddenSize, vocabSize);
      const wanted = tokenLogprobsReference(project(hidden, weight, hiddenSize), targets, vocabSize, temperature);
      const got = linearLogprobs(hidden, weight, targets, { vocabSize, hiddenSize, temperature });
      expectClose(got.logprobs, wanted.logprobs, 1e-5);
      expectClose(got.entropy, wanted.entropy, 1e-5);
    });

    test(`its gradients agree with float64: N=${n} C=${hiddenSize} V=${vocabSize}`, () => {
      const { hidden, weight, targets } = makeCase(n, hiddenSize, vocabSize);
      const [dLogprobs, dEntropy] = [random.normals(n), random.normals(n)];
      const dLogits = tokenLogprobsBackwardReference(project(hidden, weight, hiddenSize), targets, dLogprobs, dEntropy, vocabSize, temperature);
      const wanted = projectBackward(dLogits, hidden, weight, hiddenSize);
      const got = linearLogprobsBackward(hidden, weight, targets, dLogprobs, { vocabSize, hiddenSize, temperature, dEntropy });
      // A vocabulary of one has no gradient at all; what is left is rounding.
      expectClose(got.dHidden, wanted.dHidden, vocabSize === 1 ? Number.POSITIVE_INFINITY : 1e-5);
      expectClose(got.dWeight, wanted.dWeight, vocabSize === 1 ? Number.POSITIVE_INFINITY : 1e-5);
      if (vocabSize === 1) for (const x of [...got.dHidden, ...got.dWeight]) expect(Math.abs(x)).toBeLessThan(1e-6);
    });
  }

  test("agrees with finite differences by hidden and weight", () => {
    const [n, hiddenSize, vocabSize, temperature] = [3, 4, 7, 0.9];
    const { hidden, weight, targets } = makeCase(n, hiddenSize, vocabSize);
    const [h, w] = [Float64Array.from(hidden), Float64Array.from(weight)];
    const [dLogprobs, dEntropy] = [random.normals(n), random.normals(n)];
    const objective = () => {
      const { logprobs, entropy } = tokenLogprobsReference(project(h, w, hiddenSize), targets, vocabSize, temperature);
      return logprobs.reduce((sum, value, i) => sum + value * dLogprobs[i] + entropy[i] * dEntropy[i], 0);
    };
    const got = linearLogprobsBackward(hidden, weight, targets, dLogprobs, { vocabSize, hiddenSize, temperature, dEntropy });
    expectClose(got.dHidden, finiteDifferences(objective, h), 1e-5);
    expectClose(got.dWeight, finiteDifferences(objective, w), 1e-5);
  });

  test("bfloat16 inputs: the forward is exact for the rounded values, the backward within bfloat16", () => {
    for (const [n, hiddenSize, vocabSize] of [
      [50, 32, 100],
      [10, 16, 5000],
    ]) {
      const { hidden, weight, targets } = makeCase(n, hiddenSize, vocabSize);
      const [h, w] = [toBfloat16(hidden), toBfloat16(weight)];
      const logits = project(h.rounded, w.rounded, hiddenSize);
      const wanted = tokenLogprobsReference(logits, targets, vocabSize);
      const got = linearLogprobs(h.bits, w.bits, targets, { vocabSize, hiddenSize });
      expectClose(got.logprobs, wanted.logprobs, 1e-5);
      expectClose(got.entropy, wanted.entropy, 1e-5);
      const dLogprobs = random.normals(n);
      const gradients = projectBackward(tokenLogprobsBackwardReference(logits, targets, dLogprobs, undefined, vocabSize), h.rounded, w.rounded, hiddenSize);
      const gotGradients = linearLogprobsBackward(h.bits, w.bits, targets, dLogprobs, { vocabSize, hiddenSize, logSumExp: got.logSumExp });
      expectClose(gotGradients.dHidden, gradients.dHidden, 4e-3);
      expectClose(gotGradients.dWeight, gradients.dWeight, 4e-3);
    }
  });

  test("no rows: no results, and a zero weight gradient", () => {
    const options = { vocabSize: 3, hiddenSize: 2 };
    const empty = new Float32Array(0);
    expect(linearLogprobs(empty, new Float32Array(6), new Int32Array(0), options).logprobs.length).toBe(0);
    expect(Array.from(linearLogprobsBackward(empty, new Float32Array(6).fill(1), new Int32Array(0), empty, options).dWeight)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test("a given log-sum-exp saves the forward and changes nothing; gradients accumulate when asked", () => {
    const [n, hiddenSize, vocabSize] = [20, 8, 30];
    const { hidden, weight, targets } = makeCase(n, hiddenSize, vocabSize);
    const [dLogprobs, dEntropy] = [random.normals(n), random.normals(n)];
    const options = { vocabSize, hiddenSize, dEntropy };
    const { logSumExp, entropy } = linearLogprobs(hidden, weight, targets, { vocabSize, hiddenSize });
    const first = linearLogprobsBackward(hidden, weight, targets, dLogprobs, options);
    const second = linearLogprobsBackward(hidden, weight, targets, dLogprobs, { ...options, logSumExp, entropy });
    expect(sameBits(second.dWeight, first.dWeight) && sameBits(second.dHidden, first.dHidden)).toBe(true);
    const out = { dWeight: new Float32Array(weight.length).fill(1) };
    linearLogprobsBackward(hidden, weight, targets, dLogprobs, { ...options, accumulate: true, out });
    expectClose(
      out.dWeight,
      first.dWeight.map((x) => x + 1),
      1e-6,
    );
    linearLogprobsBackward(hidden, weight, targets, dLogprobs, { ...options, out });
    expectClose(out.dWeight, first.dWeight, 1e-6);
  });

  test("splitting a batch, the order of its rows and the number of threads change nothing beyond rounding", () => {
    const [n, hiddenSize, vocabSize] = [150, 16, 4500];
    const { hidden, weight, targets } = makeCase(n, hiddenSize, vocabSize);
    const dLogprobs = random.normals(n);
    const options = { vocabSize, hiddenSize };
    const whole = { ...linearLogprobs(hidden, weight, targets, options), ...linearLogprobsBackward(hidden, weight, targets, dLogprobs, options) };
    const dWeight = new Float32Array(weight.length);
    for (const [begin, end] of [
      [0, 1],
      [1, 100],
      [100, n],
    ]) {
      const [h, t] = [hidden.subarray(begin * hiddenSize, end * hiddenSize), targets.subarray(begin, end)];
      expectClose(linearLogprobs(h, weight, t, options).logprobs, whole.logprobs.subarray(begin, end), 1e-6);
      const part = linearLogprobsBackward(h, weight, t, dLogprobs.subarray(begin, end), { ...options, accumulate: true, out: { dWeight } });
      expectClose(part.dHidden, whole.dHidden.subarray(begin * hiddenSize, end * hiddenSize), 2e-6);
    }
    expectClose(dWeight, whole.dWeight, 2e-6);
    native().setThreads(1);
    expectClose(linearLogprobs(hidden, weight, targets, options).entropy, whole.entropy, 1e-6);
    native().setThreads(0);
  });

  test("the same bits again, from shared and oddly placed memory, and on the compute thread", async () => {
    const [n, hiddenSize, vocabSize] = [33, 12, 70];
    const { hidden, weight, targets } = makeCase(n, hiddenSize, vocabSize);
    const dLogprobs = random.normals(n);
    const options = { vocabSize, hiddenSize };
    const first = linearLogprobs(hidden, weight, targets, options);
    const again = linearLogprobs(atOddOffset(hidden, true), atOddOffset(weight), atOddOffset(targets, true), options);
    const later = await linearLogprobsAsync(hidden, weight, targets, options);
    for (const other of [again, later]) expect(sameBits(other.logprobs, first.logprobs) && sameBits(other.entropy, first.entropy)).toBe(true);
    const gradients = linearLogprobsBackward(hidden, weight, targets, dLogprobs, options);
    const laterGradients = await linearLogprobsBackwardAsync(hidden, weight, targets, dLogprobs, options);
    expect(sameBits(laterGradients.dWeight, gradients.dWeight) && sameBits(laterGradients.dHidden, gradients.dHidden)).toBe(true);
  });

  test("agrees with tokenLogprobs on the same logits; a row without incoming gradient has none", () => {
    const [n, hiddenSize, vocabSize] = [4, 8, 20];
    const { hidden, weight, targets } = makeCase(n, hiddenSize, vocabSize);
    const dHidden = linearLogprobsBackward(hidden, weight, targets, Float32Array.of(1, 0, 1, 0), { vocabSize, hiddenSize }).dHidden;
    expect(dHidden.subarray(hiddenSize, 2 * hiddenSize).every((x) => x === 0)).toBe(true);
    expect(dHidden.subarray(0, hiddenSize).some((x) => x !== 0)).toBe(true);
  });

  test("an abort stops it between chunks: a second's work or more ends in less than half of one", async () => {
    const [n, hiddenSize, vocabSize] = [4096, 896, 60000];
    const controller = new AbortController();
    const pending = linearLogprobsAsync(new Float32Array(n * hiddenSize), new Float32Array(vocabSize * hiddenSize), new Int32Array(n), {
      vocabSize,
      hiddenSize,
      signal: controller.signal,
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const start = performance.now();
    controller.abort();
    await expect(pending).rejects.toThrow();
    expect(performance.now() - start).toBeLessThan(500);
  });
});
