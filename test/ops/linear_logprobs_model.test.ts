// The fused head as the model uses it, in both activation types (the public float32 kernel has tests of its own).
import { describe, test } from "bun:test";
import { linearLogprobs, numericalGradient } from "../reference/layers.ts";
import { Random } from "../support/random.ts";
import { expectNear, ops, PRECISIONS } from "./support.ts";

for (const { dtype, tolerance, round } of PRECISIONS) {
  describe(`linearLogprobs ${dtype}`, () => {
    for (const [n, c, vocab, temperature] of [
      [1, 1, 1, 1],
      [5, 31, 33, 1],
      [7, 16, 127, 0.6],
      [3, 24, 1000, 1.7],
    ]) {
      test(`[${n}, ${c}] over ${vocab} at temperature ${temperature}: values and finite differences`, async () => {
        const random = new Random(n + vocab);
        const hidden = random.normals(n * c);
        const weight = random.normals(vocab * c, 1 / Math.sqrt(c));
        const targets = random.integers(n, 0, vocab);
        const dLogprobs = random.normals(n);
        const dEntropy = random.normals(n);
        const dWeight = random.normals(vocab * c);
        const result = await ops.linearLogprobs({ n, c, vocab, temperature, hidden, weight, targets, dLogprobs, dEntropy, dWeight, dtype });
        const [h, w] = [round(hidden), round(weight)];
        const both = (x: ArrayLike<number>, y: ArrayLike<number>) => {
          const { logprobs, entropy } = linearLogprobs(x, y, targets, vocab, temperature);
          return [...logprobs, ...entropy];
        };
        const expected = both(h, w);
        expectNear([...result.logprobs, ...result.entropy], expected, 1e-5, "logprobs and entropy");
        const dOut = [...dLogprobs, ...dEntropy];
        const floor = dtype === "float32" ? 1e-5 : 2 * tolerance;
        expectNear(
          result.dHidden,
          numericalGradient(h, dOut, (x) => both(x, w)),
          floor,
          "dHidden",
        );
        const some = Int32Array.from({ length: Math.min(100, w.length) }, () => random.integer(0, w.length));
        // Elements of frequent targets are large, so compare on all of those touched by a target too.
        const at = Int32Array.from([...some, ...targets.map((t) => t * c)]);
        expectNear(
          Array.from(at, (i) => result.dWeight[i] - dWeight[i]),
          numericalGradient(w, dOut, (y) => both(h, y), at),
          Math.max(floor, 2e-5),
          "dWeight",
        );
      });
    }
  });
}
