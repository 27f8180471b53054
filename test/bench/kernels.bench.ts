// The kernels against the memory bandwidth measured beside them and against eager PyTorch; extra memory of linearLogprobs.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { implicitRewards, linearLogprobs, linearLogprobsBackward, ppoClipLoss, primeAdvantages, tokenLogprobs } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { alternate, type BenchResult, RESULTS, type Timed } from "./harness.ts";
import { machine, median, type Row, renderTable, resetPeak, residentBytes } from "./measure.ts";
import { Peer } from "./peer.ts";

const GB = 1e9;
const BANDWIDTH_MIB = 256;
const runs: Record<string, Record<string, number[]>> = {}; // seconds, for the results file
const versions: Record<string, string> = {};

const timed = (work: () => unknown): Timed => {
  return async () => {
    const begin = performance.now();
    work();
    return (performance.now() - begin) / 1000;
  };
};

// A quick generator: normals for 155 million logits would take longer than the benchmark.
function fill(array: Float32Array, low: number, high: number): Float32Array {
  let state = 12345;
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    array[i] = low + (high - low) * (state / 2 ** 32);
  }
  return array;
}

interface Contest {
  what: string;
  bytes: number; // what must be read and written once, whatever the kernels do
  work: () => unknown;
  peer: string; // argument of peers/torch_kernels.py
  share: number; // target: part of the read bandwidth
  ratio?: number; // target: times the peer's speed
}

/** Runs ours, a plain read of memory and the peer in turn. */
async function contest({ what, bytes, work, peer: peerWork, share, ratio }: Contest): Promise<Row[]> {
  const peer = await Peer.start("torch_kernels.py", peerWork);
  Object.assign(versions, peer?.versions);
  const read: Timed = async () => (BANDWIDTH_MIB * 2 ** 20) / native().memoryBandwidth(BANDWIDTH_MIB, 3).read;
  const seconds = await alternate<string>({ ours: timed(work), read, ...(peer ? { peer: () => peer.run() } : {}) });
  peer?.stop();
  runs[what] = seconds;
  const ms = (name: string) => 1000 * median(seconds[name]);
  const rate = bytes / ms("ours") / 1e6;
  const readRate = (BANDWIDTH_MIB * 2 ** 20) / ms("read") / 1e6;
  const ours = `${ms("ours").toFixed(2)} ms, ${rate.toFixed(1)} GB/s`;
  const floor = `read at ${readRate.toFixed(1)} GB/s, ${((100 * rate) / readRate).toFixed(0)} % of it`;
  const faster = peer && ms("peer") / ms("ours");
  return [
    { what, ours, floor, target: `${100 * share} % of read bandwidth`, met: rate / readRate >= share },
    {
      what: `${what}, against PyTorch (${peerWork})`,
      ours,
      peer: faster ? `${ms("peer").toFixed(0)} ms, ${faster.toFixed(1)}x` : "skipped",
      target: ratio === undefined ? "" : `${ratio}x`,
      met: ratio === undefined ? true : faster === undefined ? undefined : faster >= ratio,
    },
  ];
}

async function benchTokenLogprobs(): Promise<Row[]> {
  const [n, vocabSize] = [1024, 151936];
  const logits = fill(new Float32Array(n * vocabSize), -8, 8);
  const targets = Int32Array.from({ length: n }, (_, i) => (i * 7919) % vocabSize);
  const out = { logprobs: new Float32Array(n), entropy: new Float32Array(n) };
  const shared = {
    what: `tokenLogprobs with entropy [${n} x ${vocabSize}]`,
    bytes: logits.byteLength,
    work: () => tokenLogprobs(logits, targets, { vocabSize, out }),
    share: 0.6,
  };
  const withEntropy = await contest({ ...shared, peer: "log_softmax + gather + entropy" });
  return [...(await contest({ ...shared, peer: "log_softmax + gather", ratio: 8 })), withEntropy[1]];
}

function rewardKernels(rows: number, length: number): [string, number, () => unknown][] {
  const n = rows * length;
  const [phi, ref, logprobs, oldLogprobs] = [0, 1, 2, 3].map((k) => fill(new Float32Array(n), -3 - k / 10, 0));
  for (let t = 0; t < n; t++) logprobs[t] = oldLogprobs[t] + 0.2 * (phi[(t * 7) % n] + 1.5);
  const offsets = Int32Array.from({ length: rows + 1 }, (_, i) => i * length);
  const outcomeRewards = Float32Array.from({ length: rows }, (_, i) => ((i * 7) % 3) & 1);
  const floats = (count: number) => new Float32Array(count);
  const rewards = { rewards: floats(n), q: floats(n), scores: floats(rows) };
  const advantages = { advantages: floats(n), returns: floats(n) };
  const loss = { dLogprobs: floats(n) };
  // Bytes a token: what must be read and written once.
  return [
    ["implicitRewards", 16, () => implicitRewards(phi, ref, offsets, { beta: 0.05, out: rewards })],
    ["primeAdvantages", 12, () => primeAdvantages({ processRewards: rewards.rewards, outcomeRewards, offsets, groupSize: 4, out: advantages })],
    ["ppoClipLoss", 16, () => ppoClipLoss({ logprobs, oldLogprobs, advantages: advantages.advantages, offsets, out: loss })],
  ];
}

async function benchRewards(): Promise<Row[]> {
  const [rows, length] = [1024, 1024];
  const kernels = rewardKernels(rows, length);
  const work = () => {
    for (const [, , run] of kernels) run();
  };
  const all = await contest({
    what: "implicitRewards + primeAdvantages + ppoClipLoss, 1 M tokens",
    bytes: 44 * rows * length,
    work,
    peer: "loop over groups",
    share: 0.4,
    ratio: 20,
  });
  const each = await alternate(Object.fromEntries(kernels.map(([name, , run]) => [name, timed(run)])));
  const parts = kernels.map(([name, perToken]) => {
    const seconds = median(each[name]);
    return {
      what: `  ${name}`,
      ours: `${(1000 * seconds).toFixed(2)} ms, ${((perToken * rows * length) / seconds / GB).toFixed(1)} GB/s`,
      target: "",
      met: true,
    };
  });
  return [...all, ...parts];
}

function memoryRow(what: string, flops: number, run: () => unknown): Row {
  resetPeak();
  const before = residentBytes().now;
  const begin = performance.now();
  run();
  const seconds = (performance.now() - begin) / 1000;
  const extra = (residentBytes().peak - before) / 2 ** 20;
  const ours = `${extra.toFixed(1)} MiB extra, ${seconds.toFixed(1)} s, ${(flops / seconds / 1e9).toFixed(0)} GFLOP/s`;
  return { what, ours, target: "at most 64 MiB extra", met: extra <= 64 };
}

function benchLinearMemory(): Row[] {
  const [n, hiddenSize, vocabSize] = [4096, 896, 151936];
  const hidden = fill(new Float32Array(n * hiddenSize), -1, 1);
  const weight = fill(new Float32Array(vocabSize * hiddenSize), -0.05, 0.05);
  const targets = Int32Array.from({ length: n }, (_, i) => (i * 7919) % vocabSize);
  const dLogprobs = new Float32Array(n).fill(1e-3);
  const touched = (count: number) => new Float32Array(count).fill(1); // so that outputs count before the call
  const out = { logprobs: touched(n), entropy: touched(n), logSumExp: touched(n) };
  const gradients = { dHidden: touched(hidden.length), dWeight: touched(weight.length) };
  const options = { vocabSize, hiddenSize };
  const shape = `N=${n} C=${hiddenSize} V=${vocabSize}`;
  const product = 2 * n * hiddenSize * vocabSize;
  const backward = () => linearLogprobsBackward(hidden, weight, targets, dLogprobs, { ...options, logSumExp: out.logSumExp, out: gradients });
  return [
    memoryRow(`linearLogprobs ${shape}, peak memory`, product, () => linearLogprobs(hidden, weight, targets, { ...options, out })),
    memoryRow(`linearLogprobsBackward ${shape}, peak memory`, 3 * product, backward),
  ];
}

const rows = [...(await benchRewards()), ...(await benchTokenLogprobs()), ...(process.platform === "linux" ? benchLinearMemory() : [])];
const notes = ["A rate counts the bytes that must be read or written once, whatever the kernels do. Peak memory is read from /proc."];
console.log(renderTable(rows));
for (const note of notes) console.log(note);
if (process.argv.includes("--save")) {
  const { gemm, threads, cpuFeatures } = native().info();
  const result: BenchResult & { runs: unknown } = { machine: { ...machine(), threads, gemm, cpuFeatures, ...versions }, rows, notes, runs };
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, "kernels.json"), `${JSON.stringify(result, null, 2)}\n`);
}
