// One kernel call and five training steps, printed bit by bit: the same program for every runtime.
import { DeviceArray, linearLogprobs, primeAdvantages, stepRewards } from "../../ts/kernels.ts";
import { Model } from "../../ts/model.ts";

/** Values in [-1, 1) from a 32-bit linear congruence: exact integers, so equal everywhere. */
function values(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1);
  });
}

const bits = (array: Float32Array) => Array.from(new Uint32Array(array.buffer, array.byteOffset, array.length), (word) => word.toString(16)).join(" ");

const [N, C, V] = [7, 16, 33];
const targets = Int32Array.from({ length: N }, (_, i) => (i * 5) % V);
const { logprobs, entropy } = linearLogprobs(values(N * C, 1), values(V * C, 2), targets, { vocabSize: V, hiddenSize: C });
const offsets = Int32Array.of(0, 2, 4, 5, 7);
const { advantages } = primeAdvantages({ processRewards: values(N, 3), outcomeRewards: Float32Array.of(1, 0, 0, 1), offsets, groupSize: 2 });

const onDevice = DeviceArray.from(values(N, 4), { device: "cpu" });
const { perStep } = stepRewards(onDevice, offsets, Int32Array.of(1, 0, 1), Int32Array.of(0, 1, 1, 2, 3));
onDevice.free();

const sizes = { vocabSize: V, hiddenSize: 16, intermediateSize: 32, numHiddenLayers: 2, numAttentionHeads: 4, numKeyValueHeads: 2 };
const model = await Model.load(sizes, { dtype: "float32", seed: 5 });
const batch = { tokens: Int32Array.from({ length: 40 }, (_, i) => (i * i * 7 + 3) % V), offsets: Int32Array.of(0, 11, 12, 40) };
const norms: number[] = [];
let last = new Float32Array(0);
for (let step = 0; step < 5; step++) {
  const scores = await model.forwardBackward(batch, (found) => ({ dLogprobs: new Float32Array(found.logprobs.length).fill(-1 / found.logprobs.length) }));
  last = Float32Array.from(scores.logprobs);
  norms.push((await model.step({ lr: 0.01 })).gradNorm);
}
const [rollout] = await model.generate([[1, 2, 3]], { maxNewTokens: 8, seed: 9 });
model.close();

const result = {
  logprobs: bits(logprobs),
  entropy: bits(entropy),
  advantages: bits(advantages),
  perStep: bits(perStep.toHost()),
  last: bits(last),
  norms,
  tokens: Array.from(rollout.tokens),
  sampled: bits(rollout.logprobs),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
