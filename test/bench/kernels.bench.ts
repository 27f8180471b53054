// The kernels against the machine's memory bandwidth and eager PyTorch, all measured in this run.
// bun test/bench/kernels.bench.ts [--save]: prints a table; --save writes it to test/bench/results/kernels.json.
// PRIMEKIT_PEER_PYTHON: a Python with torch; without it the peers are skipped.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { implicitRewards, linearLogprobs, linearLogprobsBackward, ppoClipLoss, primeAdvantages, tokenLogprobs } from "../../ts/kernels.ts";
import { native } from "../../ts/native/addon.ts";
import { machine, median, type Row, renderTable, resetPeak, residentBytes, time } from "./measure.ts";

const RUNS = 7;
const python = process.env.PRIMEKIT_PEER_PYTHON;

/** A peer measurement in PyTorch; undefined when there is none. */
function peer(what: "logprobs" | "rewards"): Record<string, number[]> | undefined {
  if (!python) return undefined;
  const script = fileURLToPath(new URL("./peers/torch_kernels.py", import.meta.url));
  const child = spawnSync(python, [script, what, String(RUNS)], { encoding: "utf8" });
  if (child.status !== 0) {
    console.log(`The PyTorch peer failed, and is left out: ${child.stderr.trim().split("\n").at(-1)}`);
    return undefined;
  }
  return JSON.parse(child.stdout);
}

// A cheap generator: normals for 155 million logits would take longer than the benchmark.
function fill(array: Float32Array, low: number, high: number): Float32Array {
  let state = 12345;
  for (let i = 0; i < array.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    array[i] = low + (high - low) * (state / 2 ** 32);
  }
  return array;
}

const GB = 1e9;
const bandwidth = () => native().memoryBandwidth(256, 5);
const times = (x: number) => `${x.toFixed(1)}x`;
const percent = (x: number) => `${(100 * x).toFixed(0)} %`;

function benchTokenLogprobs(): Row[] {
  const [n, vocabSize] = [1024, 151936];
  const logits = fill(new Float32Array(n * vocabSize), -8, 8);
  const targets = Int32Array.from({ length: n }, (_, i) => (i * 7919) % vocabSize);
  const out = { logprobs: new Float32Array(n), entropy: new Float32Array(n) };
  const run = () => tokenLogprobs(logits, targets, { vocabSize, out });
  // Bandwidth and kernel in turn, so that a disturbance hits both.
  const rates: number[] = [];
  const shares: number[] = [];
  const first = time(run, RUNS);
  for (let i = 0; i < RUNS; i++) {
    const { read } = native().memoryBandwidth(256, 1);
    const seconds = time(run, 1)[0];
    rates.push(read);
    shares.push(logits.byteLength / seconds / read);
    first.push(seconds);
  }
  const seconds = median(first);
  const theirs = peer("logprobs");
  const peerSeconds = theirs && median(theirs.log_softmax_gather);
  const what = `tokenLogprobs + entropy [${n} x ${vocabSize}]`;
  const ours = `${(seconds * 1e3).toFixed(1)} ms, ${(logits.byteLength / seconds / GB).toFixed(1)} GB/s`;
  return [
    {
      what,
      ours,
      floor: `read ${(median(rates) / GB).toFixed(1)} GB/s`,
      target: "60 % of read bandwidth",
      met: median(shares) >= 0.6,
      peer: percent(median(shares)),
    },
    {
      what,
      ours,
      peer: peerSeconds === undefined ? "skipped" : `${(peerSeconds * 1e3).toFixed(0)} ms, ${times(peerSeconds / seconds)}`,
      target: "8x log_softmax + gather",
      met: peerSeconds === undefined ? undefined : peerSeconds / seconds >= 8,
    },
    ...(theirs
      ? [
          {
            what,
            ours,
            peer: `${(median(theirs.with_entropy) * 1e3).toFixed(0)} ms, ${times(median(theirs.with_entropy) / seconds)}`,
            target: "(the same with entropy)",
            met: true,
          },
        ]
      : []),
  ];
}

function benchRewards(): Row[] {
  const [rows, length] = [1024, 1024];
  const n = rows * length;
  const make = () => fill(new Float32Array(n), -3, 0);
  const [phi, ref, logprobs, oldLogprobs] = [make(), make(), make(), make()];
  for (let t = 0; t < n; t++) logprobs[t] = oldLogprobs[t] + 0.2 * (logprobs[t] + 1.5);
  const offsets = Int32Array.from({ length: rows + 1 }, (_, i) => i * length);
  const outcomeRewards = Float32Array.from({ length: rows }, (_, i) => ((i * 7) % 3) & 1);
  const floats = (count: number) => new Float32Array(count);
  const implicitOut = { rewards: floats(n), q: floats(n), scores: floats(rows) };
  const advantagesOut = { advantages: floats(n), returns: floats(n) };
  const lossOut = { dLogprobs: floats(n) };
  const parts: [string, number, () => unknown][] = [
    ["implicitRewards", 16, () => implicitRewards(phi, ref, offsets, { beta: 0.05, out: implicitOut })],
    ["primeAdvantages", 12, () => primeAdvantages({ processRewards: implicitOut.rewards, outcomeRewards, offsets, groupSize: 4, out: advantagesOut })],
    ["ppoClipLoss", 16, () => ppoClipLoss({ logprobs, oldLogprobs, advantages: advantagesOut.advantages, offsets, out: lossOut })],
  ];
  const { read, copy } = bandwidth();
  const bytes = (perToken: number) => perToken * n;
  const measured = parts.map(([name, perToken, run]) => ({ name, perToken, seconds: median(time(run, 5 * RUNS)) }));
  const seconds = median(
    time(() => {
      for (const [, , run] of parts) run();
    }, 5 * RUNS),
  );
  const rate = bytes(44) / seconds;
  const theirs = peer("rewards");
  const peerSeconds = theirs && median(theirs.step);
  const what = "reward kernels of one step, 1 M tokens";
  const ours = `${(seconds * 1e3).toFixed(2)} ms, ${(rate / GB).toFixed(1)} GB/s`;
  return [
    {
      what,
      ours,
      floor: `copy ${(copy / GB).toFixed(1)} GB/s (read ${(read / GB).toFixed(1)})`,
      peer: percent(rate / copy),
      target: "40 % of copy bandwidth",
      met: rate / copy >= 0.4,
    },
    {
      what,
      ours,
      peer: peerSeconds === undefined ? "skipped" : `${(peerSeconds * 1e3).toFixed(0)} ms, ${times(peerSeconds / seconds)}`,
      target: "20x eager PyTorch",
      met: peerSeconds === undefined ? undefined : peerSeconds / seconds >= 20,
    },
    ...measured.map((m) => ({
      what: `  ${m.name}`,
      ours: `${(m.seconds * 1e3).toFixed(2)} ms, ${(bytes(m.perToken) / m.seconds / GB).toFixed(1)} GB/s`,
      target: "",
      met: true,
    })),
  ];
}

function benchLinearMemory(): Row[] {
  const [n, hiddenSize, vocabSize] = [4096, 896, 151936];
  const hidden = fill(new Float32Array(n * hiddenSize), -1, 1);
  const weight = fill(new Float32Array(vocabSize * hiddenSize), -0.05, 0.05);
  const targets = Int32Array.from({ length: n }, (_, i) => (i * 7919) % vocabSize);
  const dLogprobs = new Float32Array(n).fill(1e-3);
  const floats = (count: number) => new Float32Array(count).fill(1); // touched, so that it counts before
  const forwardOut = { logprobs: floats(n), entropy: floats(n), logSumExp: floats(n) };
  const backwardOut = { dHidden: floats(hidden.length), dWeight: floats(weight.length) };
  const passes: [string, number, () => unknown][] = [
    ["linearLogprobs", 2, () => linearLogprobs(hidden, weight, targets, { vocabSize, hiddenSize, out: forwardOut })],
    [
      "linearLogprobsBackward",
      6,
      () => linearLogprobsBackward(hidden, weight, targets, dLogprobs, { vocabSize, hiddenSize, logSumExp: forwardOut.logSumExp, out: backwardOut }),
    ],
  ];
  return passes.map(([name, products, run]) => {
    resetPeak();
    const before = residentBytes().now;
    const start = performance.now();
    run();
    const seconds = (performance.now() - start) / 1e3;
    const extra = (residentBytes().peak - before) / 2 ** 20;
    const rate = (products * n * hiddenSize * vocabSize) / seconds / 1e9;
    return {
      what: `${name}, N=${n} C=${hiddenSize} V=${vocabSize}`,
      ours: `${extra.toFixed(1)} MiB extra, ${seconds.toFixed(1)} s, ${rate.toFixed(0)} GFLOP/s`,
      target: "at most 64 MiB extra",
      met: extra <= 64,
    };
  });
}

if (!python) console.log("PRIMEKIT_PEER_PYTHON is not set: the PyTorch peers are skipped.");
const rows = [...benchTokenLogprobs(), ...benchRewards(), ...(process.platform === "linux" ? benchLinearMemory() : [])];
console.log(renderTable(rows));
if (process.argv.includes("--save")) {
  const folder = fileURLToPath(new URL("./results", import.meta.url));
  mkdirSync(folder, { recursive: true });
  const { gemm, threads, cpuFeatures } = native().info();
  writeFileSync(`${folder}/kernels.json`, `${JSON.stringify({ machine: { ...machine(), threads, gemm, cpuFeatures }, rows }, null, 2)}\n`);
}
