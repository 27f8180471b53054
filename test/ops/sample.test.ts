import { describe, expect, test } from "bun:test";
import { Random } from "../support/random.ts";
import { ops } from "./support.ts";

const base = { temperature: 1, topP: 1, topK: 0, seed: 7 };
const numbered = (m: number) => Int32Array.from({ length: m }, (_, i) => i);

/** m copies of the same logits, drawn with sequence numbers 0..m-1 at position 0. */
async function draw(logits: Float32Array, m: number, settings: object): Promise<{ tokens: number[]; logprobs: Float32Array }> {
  const vocab = logits.length;
  const all = new Float32Array(m * vocab);
  for (let i = 0; i < m; i++) all.set(logits, i * vocab);
  const { tokens, logprobs } = await ops.sample({ ...base, ...settings, m, vocab, logits: all, sequences: numbered(m), positions: new Int32Array(m) });
  return { tokens: Array.from(tokens), logprobs };
}

describe("sample", () => {
  test("a draw is a function of seed, sequence and position, not of its place in the batch", async () => {
    const vocab = 33;
    const logits = new Random(1).normals(20 * vocab);
    const positions = new Random(2).integers(20, 0, 100);
    const args = { ...base, m: 20, vocab, logits, sequences: numbered(20), positions };
    const { tokens } = await ops.sample(args);
    for (let i = 0; i < 20; i++) {
      const alone = await ops.sample({
        ...args,
        m: 1,
        logits: logits.slice(i * vocab, (i + 1) * vocab),
        sequences: Int32Array.of(i),
        positions: positions.slice(i, i + 1),
      });
      expect(alone.tokens[0]).toBe(tokens[i]);
    }
    expect((await ops.sample({ ...args, seed: 8 })).tokens).not.toEqual(tokens);
    expect((await ops.sample({ ...args, positions: positions.map((p) => p + 1) })).tokens).not.toEqual(tokens);
  });

  test("frequencies are the probabilities", async () => {
    const probabilities = [0.5, 0.25, 0.15, 0.1];
    const m = 20000;
    const { tokens, logprobs } = await draw(Float32Array.from(probabilities, Math.log), m, {});
    for (const [token, p] of probabilities.entries()) {
      const share = tokens.filter((t) => t === token).length / m;
      expect(Math.abs(share - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / m));
    }
    for (const [i, token] of tokens.entries()) expect(logprobs[i]).toBeCloseTo(Math.log(probabilities[token]), 5);
  });

  test("a token of probability 0 is never drawn", async () => {
    const logits = Float32Array.of(Number.NEGATIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, 0, -200, Number.NEGATIVE_INFINITY);
    const { tokens } = await draw(logits, 2000, {});
    expect(new Set(tokens)).toEqual(new Set([1, 3]));
  });

  test("ties: greedy takes the smallest id, top-k the smaller ids", async () => {
    const logits = new Float32Array(9).fill(1);
    expect(new Set((await draw(logits, 50, { temperature: 0 })).tokens)).toEqual(new Set([0]));
    expect(new Set((await draw(logits, 500, { topK: 3 })).tokens)).toEqual(new Set([0, 1, 2]));
  });

  test("top-p keeps the token that crosses the threshold", async () => {
    const logits = Float32Array.from([0.5, 0.3, 0.15, 0.05], Math.log);
    for (const [topP, kept] of [
      [0.4, 1],
      [0.6, 2],
      [0.81, 3],
      [0.97, 4],
    ]) {
      const { tokens } = await draw(logits, 1000, { topP });
      expect(new Set(tokens)).toEqual(new Set(numbered(kept)));
    }
  });

  test("huge and tiny logits", async () => {
    const { tokens, logprobs } = await draw(Float32Array.of(-3e38, 3e38, 0), 10, {});
    expect(new Set(tokens)).toEqual(new Set([1]));
    expect(logprobs[0]).toBe(0);
  });

  test("logits with NaN or +Infinity are reported as token -1, not sampled", async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (let at = 0; at < 3; at++) {
        const logits = new Float32Array(3);
        logits[at] = bad;
        for (const temperature of [0, 1]) expect((await draw(logits, 1, { temperature })).tokens).toEqual([-1]);
      }
    }
  });
});
