import { afterAll, describe, expect, test } from "bun:test";
import { tokenLogprobs, tokenLogprobsAsync, tokenLogprobsBackward, tokenLogprobsBackwardAsync } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { toBfloat16, tokenLogprobsBackwardReference, tokenLogprobsReference } from "../reference/logprobs.ts";
import { atOddOffset, expectClose, finiteDifferences, Random, sameBits } from "../reference/random.ts";

const random = new Random(1);
const QWEN_VOCAB = 151936;

afterAll(() => native().setThreads(0));

describe("tokenLogprobs", () => {
  for (const [n, vocabSize, temperature, scale] of [
    [7, 11, 1, 1],
    [1, 1, 1, 1],
    [5, 64, 0.7, 3],
    [33, 1000, 1.3, 5],
    [3, 16384, 1, 2],
    [3, 40001, 1, 40],
  ] as const) {
    test(`agrees with float64: [${n}, ${vocabSize}] at temperature ${temperature}`, () => {
      const logits = random.normals(n * vocabSize, scale);
      const targets = random.tokens(n, vocabSize);
      const wanted = tokenLogprobsReference(logits, targets, vocabSize, temperature);
      const { logprobs, entropy } = tokenLogprobs(logits, targets, { vocabSize, temperature });
      for (let i = 0; i < n; i++) {
        expect(Math.abs(logprobs[i] - wanted.logprobs[i])).toBeLessThanOrEqual(1e-5 * Math.max(Math.abs(wanted.logprobs[i]), 0.1));
        expect(Math.abs(entropy[i] - wanted.entropy[i])).toBeLessThanOrEqual(1e-5 * Math.max(wanted.entropy[i], 0.1));
      }
    });
  }

  test("Qwen's vocabulary in padded rows; what is in the padding does not matter", () => {
    const [n, rowStride] = [2, QWEN_VOCAB + 64];
    const logits = random.normals(n * rowStride, 3);
    for (let i = 0; i < n; i++) logits.fill(1e30, i * rowStride + QWEN_VOCAB, (i + 1) * rowStride);
    const targets = Int32Array.of(QWEN_VOCAB - 1, 0);
    const wanted = tokenLogprobsReference(logits, targets, QWEN_VOCAB, 1, rowStride);
    const { logprobs, entropy } = tokenLogprobs(logits, targets, { vocabSize: QWEN_VOCAB, rowStride });
    for (let i = 0; i < n; i++) {
      expect(Math.abs(logprobs[i] / wanted.logprobs[i] - 1)).toBeLessThan(1e-5);
      expect(Math.abs(entropy[i] / wanted.entropy[i] - 1)).toBeLessThan(1e-5);
    }
  });

  test("logits that keep rising, so that the reference moves, and a maximum in the last block", () => {
    const vocabSize = 20000;
    const rising = Float32Array.from({ length: vocabSize }, (_, j) => j / 50);
    const late = new Float32Array(vocabSize).fill(-200);
    late[vocabSize - 1] = 200;
    for (const logits of [rising, late, rising.slice().reverse()]) {
      const wanted = tokenLogprobsReference(logits, [vocabSize - 1], vocabSize);
      const got = tokenLogprobs(logits, Int32Array.of(vocabSize - 1), { vocabSize });
      expect(Math.abs(got.logprobs[0] - wanted.logprobs[0])).toBeLessThan(1e-5 * Math.max(1, Math.abs(wanted.logprobs[0])));
      expect(Math.abs(got.entropy[0] - wanted.entropy[0])).toBeLessThan(1e-5 * Math.max(1, wanted.entropy[0]));
    }
  });

  test("-Inf logits have probability 0; NaN, +Inf or nothing but -Inf give NaN for their row only", () => {
    const logits = Float32Array.of(0, -Infinity, 0, 1, NaN, 2, 1, Infinity, 2, -Infinity, -Infinity, -Infinity, 5, 4, -Infinity);
    const { logprobs, entropy } = tokenLogprobs(logits, Int32Array.of(0, 0, 0, 0, 2), { vocabSize: 3 });
    expect(logprobs[0]).toBeCloseTo(-Math.log(2), 6);
    expect(entropy[0]).toBeCloseTo(Math.log(2), 6);
    for (const i of [1, 2, 3]) expect([logprobs[i], entropy[i]]).toEqual([NaN, NaN]);
    expect(logprobs[4]).toBe(-Infinity);
    expect(Number.isFinite(entropy[4])).toBe(true);
  });

  test("no rows", () => {
    const { logprobs, entropy } = tokenLogprobs(new Float32Array(0), new Int32Array(0), { vocabSize: 5 });
    expect([logprobs.length, entropy.length]).toEqual([0, 0]);
  });

  test("the same bits again, from shared and oddly placed memory, in `out`, and on the compute thread", async () => {
    const [n, vocabSize] = [9, 777];
    const logits = random.normals(n * vocabSize, 4);
    const targets = random.tokens(n, vocabSize);
    const first = tokenLogprobs(logits, targets, { vocabSize });
    const out = { logprobs: atOddOffset(new Float32Array(n)), entropy: atOddOffset(new Float32Array(n), true) };
    for (const shared of [false, true]) {
      const again = tokenLogprobs(atOddOffset(logits, shared), atOddOffset(targets, shared), { vocabSize, out });
      expect(again.logprobs).toBe(out.logprobs);
      expect(sameBits(again.logprobs, first.logprobs) && sameBits(again.entropy, first.entropy)).toBe(true);
    }
    const later = await tokenLogprobsAsync(logits, targets, { vocabSize });
    expect(sameBits(later.logprobs, first.logprobs) && sameBits(later.entropy, first.entropy)).toBe(true);
  });

  test("neither rows beside it, nor their order, nor the number of threads change a row", () => {
    const [n, vocabSize] = [20, 50000];
    const logits = random.normals(n * vocabSize, 4);
    const targets = random.tokens(n, vocabSize);
    const all = tokenLogprobs(logits, targets, { vocabSize });
    const last = tokenLogprobs(logits.subarray((n - 1) * vocabSize), targets.subarray(n - 1), { vocabSize });
    expectClose([last.logprobs[0], last.entropy[0]], [all.logprobs[n - 1], all.entropy[n - 1]], 1e-6);
    for (const threads of [1, 3]) {
      native().setThreads(threads);
      const again = tokenLogprobs(logits, targets, { vocabSize });
      expect(sameBits(again.logprobs, all.logprobs) && sameBits(again.entropy, all.entropy)).toBe(true);
    }
    native().setThreads(0);
  });

  test("adding a constant to all logits changes nothing; temperature t is dividing the logits by t", () => {
    const [n, vocabSize] = [6, 100];
    const logits = random.normals(n * vocabSize, 2);
    const targets = random.tokens(n, vocabSize);
    const base = tokenLogprobs(logits, targets, { vocabSize });
    expectClose(
      tokenLogprobs(
        logits.map((z) => z + 8),
        targets,
        { vocabSize },
      ).logprobs,
      base.logprobs,
      1e-6,
    );
    expectClose(
      tokenLogprobs(
        logits.map((z) => z * 4),
        targets,
        { vocabSize, temperature: 4 },
      ).entropy,
      base.entropy,
      1e-6,
    );
  });
});

describe("tokenLogprobsBackward", () => {
  for (const [n, vocabSize, temperature, withEntropy] of [
    [5, 13, 1, false],
    [5, 13, 0.8, true],
    [2, 40001, 1.5, true],
    [20, 500, 1, true],
  ] as const) {
    test(`agrees with float64: [${n}, ${vocabSize}], temperature ${temperature}${withEntropy ? ", entropy" : ""}`, () => {
      const logits = random.normals(n * vocabSize, 3);
      const targets = random.tokens(n, vocabSize);
      const dLogprobs = random.normals(n);
      const dEntropy = withEntropy ? random.normals(n) : undefined;
      const { dLogits } = tokenLogprobsBackward(logits, targets, dLogprobs, { vocabSize, temperature, dEntropy });
      expectClose(dLogits, tokenLogprobsBackwardReference(logits, targets, dLogprobs, dEntropy, vocabSize, temperature), 1e-5);
    });
  }

  test("agrees with finite differences", () => {
    const [vocabSize, temperature] = [9, 0.9];
    const logits = Float64Array.from(random.normals(3 * vocabSize, 2));
    const targets = random.tokens(3, vocabSize);
    const [dLogprobs, dEntropy] = [random.normals(3), random.normals(3)];
    const objective = () => {
      const { logprobs, entropy } = tokenLogprobsReference(logits, targets, vocabSize, temperature);
      return logprobs.reduce((sum, value, i) => sum + value * dLogprobs[i] + entropy[i] * dEntropy[i], 0);
    };
    const { dLogits } = tokenLogprobsBackward(Float32Array.from(logits), targets, dLogprobs, { vocabSize, temperature, dEntropy });
    expectClose(dLogits, finiteDifferences(objective, logits), 1e-5);
  });

  test("zero incoming gradient gives zeros, whatever the logits; -Inf logits get none; padding gets zeros", () => {
    const logits = Float32Array.of(NaN, 1, 9, 0, -Infinity, 9);
    const { dLogits } = tokenLogprobsBackward(logits, Int32Array.of(0, 0), Float32Array.of(0, 1), {
      vocabSize: 2,
      rowStride: 3,
      dEntropy: Float32Array.of(0, 1),
    });
    expect(Array.from(dLogits, (x) => x + 0)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test("a nearly certain target keeps its small gradient", () => {
    const logits = Float32Array.of(20, 0);
    const { dLogits } = tokenLogprobsBackward(logits, Int32Array.of(0), Float32Array.of(1), { vocabSize: 2 });
    expect(Math.abs(dLogits[0] / (1 / (1 + Math.exp(20))) - 1)).toBeLessThan(1e-5);
  });

  test("in place of the logits, again, and on the compute thread: the same bits", async () => {
    for (const [n, vocabSize] of [
      [3, 40000],
      [40, 50],
    ]) {
      const logits = random.normals(n * vocabSize, 3);
      const targets = random.tokens(n, vocabSize);
      const [dLogprobs, dEntropy] = [random.normals(n), random.normals(n)];
      const first = tokenLogprobsBackward(logits, targets, dLogprobs, { vocabSize, dEntropy }).dLogits;
      expect(sameBits((await tokenLogprobsBackwardAsync(logits, targets, dLogprobs, { vocabSize, dEntropy })).dLogits, first)).toBe(true);
      native().setThreads(1);
      expect(sameBits(tokenLogprobsBackward(logits, targets, dLogprobs, { vocabSize, dEntropy, out: { dLogits: logits } }).dLogits, first)).toBe(true);
      native().setThreads(0);
    }
  });
});

describe("aborting", () => {
  test("rejects with the signal's reason, before and during the call", async () => {
    const reason = new Error("enough");
    const call = (signal: AbortSignal) => tokenLogprobsAsync(new Float32Array(2), Int32Array.of(0), { vocabSize: 2, signal });
    await expect(call(AbortSignal.abort(reason))).rejects.toBe(reason);
    const logits = new Float32Array(4096 * 20000);
    const controller = new AbortController();
    const pending = tokenLogprobsAsync(logits, new Int32Array(4096), { vocabSize: 20000, signal: controller.signal });
    controller.abort(reason); // three pieces of work lie ahead
    await expect(pending).rejects.toBe(reason);
  });

  test("a resizable buffer is refused, as it could shrink during the call", async () => {
    const logits = new Float32Array(new ArrayBuffer(16, { maxByteLength: 64 }));
    await expect(tokenLogprobsAsync(logits, Int32Array.of(0), { vocabSize: 4 })).rejects.toThrow("resizable");
    expect(tokenLogprobs(logits, Int32Array.of(0), { vocabSize: 4 }).logprobs[0]).toBeCloseTo(-Math.log(4), 6);
  });
});

describe("bfloat16 logits", () => {
  const widen = (bits: ArrayLike<number>) => new Float32Array(Uint32Array.from(bits, (b) => b * 65536).buffer);

  for (const [n, vocabSize, temperature] of [
    [1, 1, 1],
    [5, 33, 0.7],
    [9, 1003, 1],
    [2, 16385, 1.4],
    [2, QWEN_VOCAB, 1],
  ] as const) {
    test(`agree with float64: [${n}, ${vocabSize}] at temperature ${temperature}, padded rows at any address, -Inf among them`, () => {
      const rowStride = vocabSize + (n % 2) * 7;
      const { bits, rounded } = toBfloat16(random.normals(n * rowStride, 4));
      const targets = random.tokens(n, vocabSize);
      if (vocabSize > 100) {
        for (let j = 0; j < 40; j++) [bits[j], rounded[j]] = [0xff80, Number.NEGATIVE_INFINITY];
        targets[0] = 50;
      }
      const wanted = tokenLogprobsReference(rounded, targets, vocabSize, temperature, rowStride);
      const { logprobs, entropy } = tokenLogprobs(atOddOffset(bits), targets, { vocabSize, temperature, rowStride });
      for (let i = 0; i < n; i++) {
        expect(Math.abs(logprobs[i] - wanted.logprobs[i])).toBeLessThanOrEqual(1e-5 * Math.max(Math.abs(wanted.logprobs[i]), 0.1));
        expect(Math.abs(entropy[i] - wanted.entropy[i])).toBeLessThanOrEqual(1e-5 * Math.max(wanted.entropy[i], 0.1));
      }
    });
  }

  test("the gradient: in float32 as exact as ever, in bfloat16 rounded once, in place of the logits too", () => {
    for (const [n, vocabSize] of [
      [4, 77],
      [2, 40001],
    ]) {
      const { bits, rounded } = toBfloat16(random.normals(n * vocabSize, 3));
      const targets = random.tokens(n, vocabSize);
      const [dLogprobs, dEntropy] = [random.normals(n), random.normals(n)];
      const wanted = tokenLogprobsBackwardReference(rounded, targets, dLogprobs, dEntropy, vocabSize);
      const out = { dLogits: new Float32Array(n * vocabSize) };
      expect(tokenLogprobsBackward(bits, targets, dLogprobs, { vocabSize, dEntropy, out }).dLogits).toBe(out.dLogits);
      expectClose(out.dLogits, wanted, 1e-5);
      const { dLogits } = tokenLogprobsBackward(bits, targets, dLogprobs, { vocabSize, dEntropy });
      expect(dLogits).toBeInstanceOf(Uint16Array);
      const values = widen(dLogits as Uint16Array);
      for (let j = 0; j < values.length; j++) expect(Math.abs(values[j] - out.dLogits[j])).toBeLessThanOrEqual(2 ** -8 * Math.abs(out.dLogits[j]));
      tokenLogprobsBackward(bits, targets, dLogprobs, { vocabSize, dEntropy, out: { dLogits: bits } });
      expect(bits).toEqual(dLogits as Uint16Array);
    }
  });

  test("NaN and +Inf make their row NaN, nothing but -Inf too; a row without incoming gradient gets zeros", () => {
    const bits = Uint16Array.of(0, 0x7fc0, 0, 0, 0x7f80, 0, 0xff80, 0xff80, 0xff80, 0xffc1, 0, 0);
    const { logprobs, entropy } = tokenLogprobs(bits, new Int32Array(4), { vocabSize: 3 });
    expect([...logprobs, ...entropy]).toEqual(Array(8).fill(Number.NaN));
    const { dLogits } = tokenLogprobsBackward(bits, new Int32Array(4), new Float32Array(4), { vocabSize: 3 });
    expect(Array.from(dLogits)).toEqual(Array(12).fill(0));
  });

  test("a nearly certain target keeps its small log-prob and gradient", () => {
    const { bits, rounded } = toBfloat16(Float32Array.of(20, 0));
    const { logprobs } = tokenLogprobs(bits, Int32Array.of(0), { vocabSize: 2 });
    expect(Math.abs(logprobs[0] / -Math.log1p(Math.exp(-20)) - 1)).toBeLessThan(1e-5);
    const out = { dLogits: new Float32Array(2) };
    tokenLogprobsBackward(bits, Int32Array.of(0), Float32Array.of(1), { vocabSize: 2, out });
    expect(Math.abs(out.dLogits[0] * (1 + Math.exp(20)) - 1)).toBeLessThan(1e-5);
    expect(rounded).toEqual(Float32Array.of(20, 0));
  });

  test("float32 logits have no bfloat16 gradient", () => {
    const call = () =>
      tokenLogprobsBackward(new Float32Array(2), new Int32Array(1), new Float32Array(1), { vocabSize: 2, out: { dLogits: new Uint16Array(2) as never } });
    expect(call).toThrow(/out\.dLogits must be a Float32Array/);
  });
});
