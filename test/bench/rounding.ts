// What bfloat16 permits: logits of transformers in bfloat16 (two of its attentions) and of primekit, each against transformers' float32 ones and
// against each other, on a random model of Qwen2.5-0.5B's configuration. Prints the table of results/real_models.md.
//   PRIMEKIT_PEER_PYTHON=python bun test/bench/rounding.ts
// PRIMEKIT_PEER_PYTHON names a Python with torch and transformers; MODEL_DIR reuses a model's directory, as in real_models.ts.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRandomModel, PRESETS } from "../../scripts/make_random_model.ts";
import { Model } from "../../ts/model.ts";
import { pack, randomRows } from "../support/models.ts";
import { Random } from "../support/random.ts";

const PRESET = PRESETS["qwen2.5-0.5b"];
const VOCAB = PRESET.vocab_size as number;
const LENGTHS = [200, 96, 57, 31]; // tokens of each row
const LIMIT = 2e-2;

interface Distance {
  relative: number; // norm of the difference by the norm of the reference
  largest: number; // absolute, as are the next two
  median: number;
  high: number; // 99.9 % of all differences are below
  beyond: number; // share of the logits that differ by more than LIMIT
  sameToken: number; // share of the positions with the same largest logit
  divergence: number; // mean over the positions of KL(reference || other), nats
}

/** How far logits [N, VOCAB] are from a reference. */
function distance(logits: Float32Array, reference: Float32Array): Distance {
  const apart = new Float32Array(logits.length);
  let [squares, size, beyond, same, divergence] = [0, 0, 0, 0, 0];
  for (let i = 0; i < logits.length; i++) {
    apart[i] = Math.abs(logits[i] - reference[i]);
    squares += apart[i] ** 2;
    size += reference[i] ** 2;
    if (apart[i] > LIMIT) beyond++;
  }
  const positions = logits.length / VOCAB;
  for (let row = 0; row < positions; row++) {
    const [p, q] = [reference, logits].map((all) => all.subarray(row * VOCAB, (row + 1) * VOCAB));
    if (argmax(p) === argmax(q)) same++;
    divergence += kl(p, q);
  }
  apart.sort();
  const at = (share: number) => apart[Math.floor(share * (apart.length - 1))];
  return {
    relative: Math.sqrt(squares / size),
    largest: at(1),
    median: at(0.5),
    high: at(0.999),
    beyond: beyond / logits.length,
    sameToken: same / positions,
    divergence: divergence / positions,
  };
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

function logSum(values: Float32Array): number {
  const top = values[argmax(values)];
  let sum = 0;
  for (const value of values) sum += Math.exp(value - top);
  return top + Math.log(sum);
}

function kl(p: Float32Array, q: Float32Array): number {
  const [sumP, sumQ] = [logSum(p), logSum(q)];
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum += Math.exp(p[i] - sumP) * (p[i] - sumP - q[i] + sumQ);
  return sum;
}

/** The nearest bfloat16 of each value, ties to even: what a perfect computation that stores bfloat16 would give. */
function rounded(values: Float32Array): Float32Array {
  const bits = new Uint32Array(values.slice().buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer);
}

function theirs(dir: string, python: string, dtype: string, attention: string, rows: Int32Array[]): Float32Array {
  const folder = mkdtempSync(join(tmpdir(), "primekit-logits-"));
  try {
    const file = join(folder, "logits.bin");
    const call = [join(import.meta.dirname, "peers", "logits.py"), dir, dtype, file, JSON.stringify(rows.map((row) => Array.from(row))), attention];
    const child = spawnSync(python, call, { stdio: "inherit", env: { ...process.env, HF_HUB_OFFLINE: "1" } });
    if (child.status !== 0) throw new Error("the peer's program failed; its messages are above");
    const bytes = readFileSync(file);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function ours(dir: string, dtype: "float32" | "bfloat16", rows: Int32Array[]): Promise<Float32Array> {
  using model = await Model.load(dir, { dtype, trainable: false });
  const { tokens, offsets } = pack(rows);
  return model.native.logits(tokens, offsets);
}

function line(name: string, logits: Float32Array, reference: Float32Array): void {
  const { relative, largest, median, high, beyond, sameToken, divergence } = distance(logits, reference);
  const figures = [relative, largest, median, high].map((value) => value.toPrecision(2));
  console.log(`| ${name} | ${figures.join(" | ")} | ${(100 * beyond).toPrecision(2)} % | ${(100 * sameToken).toFixed(1)} % | ${divergence.toExponential(1)} |`);
}

async function compare(dir: string, python: string): Promise<void> {
  const rows = randomRows(new Random(2), LENGTHS, VOCAB);
  const exact = theirs(dir, python, "float32", "eager", rows);
  console.log("| | norms | largest | median | 99.9 % below | over 2e-2 | same token | KL |\n|---|---|---|---|---|---|---|---|");
  line("float32: primekit from transformers eager", await ours(dir, "float32", rows), exact);
  line("float32: transformers sdpa from eager", theirs(dir, python, "float32", "sdpa", rows), exact);
  line("the float32 logits, rounded to bfloat16", rounded(exact), exact);
  const eager = theirs(dir, python, "bfloat16", "eager", rows);
  line("transformers bfloat16 eager from float32", eager, exact);
  const sdpa = theirs(dir, python, "bfloat16", "sdpa", rows);
  line("transformers bfloat16 sdpa from float32", sdpa, exact);
  const mine = await ours(dir, "bfloat16", rows);
  line("primekit bfloat16 from float32", mine, exact);
  line("transformers bfloat16: sdpa from eager", sdpa, eager);
  line("bfloat16: primekit from transformers eager", mine, eager);
  line("bfloat16: primekit from transformers sdpa", mine, sdpa);
}

const python = process.env.PRIMEKIT_PEER_PYTHON;
if (!python) throw new Error("PRIMEKIT_PEER_PYTHON must name a Python with torch and transformers");
const dir = process.env.MODEL_DIR ?? mkdtempSync(join(tmpdir(), "primekit-rounding-"));
try {
  if (!existsSync(join(dir, "config.json"))) makeRandomModel(dir, PRESET);
  await compare(dir, python);
} finally {
  if (!process.env.MODEL_DIR) rmSync(dir, { recursive: true, force: true });
}
