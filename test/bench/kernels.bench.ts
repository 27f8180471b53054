// The kernels against the memory bandwidth measured beside them and against eager PyTorch; extra memory of linearLogprobs.
import { readFileSync, writeFileSync } from "node:fs";
import { implicitRewards, linearLogprobs, linearLogprobsBackward, ppoClipLoss, primeAdvantages, tokenLogprobs } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { alternate, type BenchRow, median, type Timed, writeResult } from "./harness.ts";
import { Peer } from "./peer.ts";

const GB = 1e9;
const versions: Record<string, string> = {};

// Rates rather than times: a "run" of a contestant is its work in bytes over the seconds the harness was given.
const timed = (work: () => unknown): Timed => {
  return async () => {
    const begin = performance.now();
    work();
    return (performance.now() - begin) / 1000;
  };
};

const BANDWIDTH_BYTES = 256 * 2 ** 20;
const readAll: Timed = async () => BANDWIDTH_BYTES / native().memoryBandwidth(256, 3).read;

// A quick generator: normals for 155 million logits would take longer than the benchmark.
function fill(array: Float32Array, low: number, high: number): Float32Array {
  let state = 12345;
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    array[i] = low + (high - low) * (state / 2 ** 32);
  }
  return array;
}

/** Runs `work`, which must move `bytes`, in turn with the read bandwidth and a peer. */
async function againstPeer(what: string, bytes: number, work: () => unknown, peerWork: string, target: string): Promise<BenchRow> {
  const peer = await Peer.start("torch_kernels.py", peerWork);
  Object.assign(versions, peer?.versions);
  const contestants: Record<string, Timed> = { ours: timed(work), read: readAll, ...(peer ? { peer: () => peer.run() } : {}) };
  const { ours, read, peer: theirs = [] } = await alternate(contestants);
  peer?.stop();
  const rate = (seconds: number[]) => seconds.map((s) => bytes / s / GB);
  const readRate = median(read.map((s) => BANDWIDTH_BYTES / s / GB));
  return {
    what,
    unit: "GB/s",
    ours: median(rate(ours)),
    oursRuns: rate(ours),
    peer: peer ? median(rate(theirs)) : undefined,
    peerRuns: rate(theirs),
    ratio: peer ? median(theirs) / median(ours) : undefined,
    target,
    floor: `memory read at ${readRate.toFixed(1)} GB/s`,
    share: median(rate(ours)) / readRate,
  };
}

async function benchTokenLogprobs(): Promise<BenchRow[]> {
  const [n, vocabSize] = [1024, 151936];
  const logits = fill(new Float32Array(n * vocabSize), -8, 8);
  const targets = Int32Array.from({ length: n }, (_, i) => (i * 7919) % vocabSize);
  const out = { logprobs: new Float32Array(n), entropy: new Float32Array(n) };
  const run = () => tokenLogprobs(logits, targets, { vocabSize, out });
  const what = `tokenLogprobs with entropy [${n} x ${vocabSize}]`;
  return [
    await againstPeer(`${what}; peer: log_softmax + gather`, logits.byteLength, run, "logprobs", "8x the peer, 60 % of read bandwidth"),
    await againstPeer(`${what}; peer: the same with entropy`, logits.byteLength, run, "entropy", ""),
  ];
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

async function benchRewards(): Promise<BenchRow[]> {
  const [rows, length] = [1024, 1024];
  const kernels = rewardKernels(rows, length);
  const all = () => {
    for (const [, , run] of kernels) run();
  };
  return [
    await againstPeer(
      "implicitRewards, primeAdvantages, ppoClipLoss of 1 M tokens",
      44 * rows * length,
      all,
      "rewards",
      "20x the peer, 40 % of memory bandwidth",
    ),
  ];
}

/** Resident bytes now, and the peak since the last reset; Linux only. */
function residentBytes(): { now: number; peak: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const field = (name: string) => Number(/(\d+) kB/.exec(status.slice(status.indexOf(`${name}:`)))?.[1]) * 1024;
  return { now: field("VmRSS"), peak: field("VmHWM") };
}

function memoryRow(what: string, flops: number, run: () => unknown): BenchRow {
  writeFileSync("/proc/self/clear_refs", "5"); // resets the peak
  const before = residentBytes().now;
  const begin = performance.now();
  run();
  const rate = flops / ((performance.now() - begin) / 1000) / 1e9;
  const extra = (residentBytes().peak - before) / 2 ** 20;
  const floor = `the results alone, 0 MiB (the call ran at ${rate.toFixed(0)} GFLOP/s)`;
  return {
    what,
    unit: "MiB extra",
    ours: extra,
    oursRuns: [extra],
    peer: undefined,
    peerRuns: [],
    ratio: undefined,
    target: "at most 64 MiB",
    floor,
    share: undefined,
  };
}

function benchLinearMemory(): BenchRow[] {
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

const rows = [...(await benchRewards()), ...(await benchTokenLogprobs())];
if (process.platform === "linux") rows.push(...benchLinearMemory());
else console.log("Peak memory is read from /proc, which is not there: skipped.");
writeResult("kernels", rows, ["A rate counts the bytes that must be read or written once, whatever the kernels do."], versions);
