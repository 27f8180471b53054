// A program of its own (a crash must not take the test runner along): throws seeded bad calls at every op of addon.ops.
// bun test/support/fuzz_ops.ts CALLS SEED  prints {"calls", "resolved", "failed"} and exits 0; anything but an Error thrown exits 1.
import { native } from "../../ts/native/addon.ts";
import type { NativeOps, OpArguments } from "../../ts/native/types.ts";
import { badValue } from "./bad_values.ts";
import { Random } from "./random.ts";

const calls = Number(process.argv[2] ?? 2000);
const random = new Random(Number(process.argv[3] ?? 1));
const ops = native().ops;
const heads = { heads: 2, kvHeads: 1, headSize: 4 }; // QKV 16, D 8
const floats = (n: number) => random.normals(n);
const ints = (...values: number[]) => Int32Array.from(values);

/** Arguments of one good small call of every op. */
const good: Record<keyof NativeOps, OpArguments> = {
  matmul: { m: 2, n: 3, k: 4, a: floats(8), b: floats(12), bias: floats(3), out: floats(6), transposeA: false, transposeB: true, floatOut: true },
  matmulSeconds: { m: 2, n: 3, k: 4, repeats: 2 },
  columnSum: { n: 2, cols: 3, in: floats(6), out: floats(3) },
  embeddingForward: { n: 2, c: 3, vocab: 5, tokens: ints(0, 4), weight: floats(15) },
  embeddingBackward: { n: 2, c: 3, vocab: 5, tokens: ints(0, 4), dOut: floats(6), dWeight: floats(15) },
  rmsnormForward: { n: 2, c: 3, eps: 1e-6, x: floats(6), delta: floats(6), weight: floats(3) },
  rmsnormBackward: { n: 2, c: 3, dX: floats(6), dWeight: floats(3), dNormed: floats(6), x: floats(6), weight: floats(3), rstd: floats(2) },
  rope: { n: 2, tableRows: 3, ...heads, qkv: floats(32), table: floats(12), positions: ints(0, 2), inverse: false },
  attentionForward: { n: 3, ...heads, qkv: floats(48), offsets: ints(0, 1, 3) },
  attentionBackward: { n: 3, ...heads, dOut: floats(24), out: floats(24), lse: floats(6), qkv: floats(48), offsets: ints(0, 1, 3) },
  swigluForward: { n: 2, f: 3, gateUp: floats(12) },
  swigluBackward: { n: 2, f: 3, dOut: floats(6), gateUp: floats(12), inPlace: true },
  gatherRows: { n: 3, c: 2, r: 2, in: floats(6), rows: ints(2, 2) },
  scatterRows: { n: 3, c: 2, r: 2, in: floats(4), rows: ints(2, 0) },
  squaredNorm: { n: 3, values: floats(3) },
  adamw: {
    n: 2,
    lr: 0.1,
    beta1: 0.9,
    beta2: 0.99,
    eps: 1e-8,
    weightDecay: 0,
    step: 1,
    gradScale: 1,
    params: floats(2),
    grads: floats(2),
    m: floats(2),
    v: floats(2),
  },
  linearLogprobs: {
    n: 2,
    c: 3,
    vocab: 4,
    temperature: 1,
    hidden: floats(6),
    weight: floats(12),
    targets: ints(0, 3),
    dLogprobs: floats(2),
    dEntropy: floats(2),
    dWeight: floats(12),
  },
  decodeAttention: { n: 3, filled: 2, copies: 2, ...heads, qkv: floats(48) },
  sample: { m: 2, vocab: 3, temperature: 1, topP: 0.9, topK: 2, seed: 1, logits: floats(6), sequences: ints(0, 1), positions: ints(0, 5) },
};

let resolved = 0;
let failed = 0;
const names = Object.keys(ops) as (keyof NativeOps)[];
for (const name of names) if (!(name in good)) fail(`the op ${name} is not among those called here`);
for (let i = 0; i < calls; i++) {
  const name = random.pick(names);
  try {
    await ops[name](spoiled({ dtype: random.pick(["float32", "bfloat16"]), ...good[name] }) as OpArguments);
    resolved++;
  } catch (error) {
    if (!(error instanceof Error) || error.message === "") fail(`${name} threw ${String(error)}`);
    failed++;
  }
}
console.log(JSON.stringify({ calls, resolved, failed }));

function spoiled(args: OpArguments): unknown {
  if (random.uniform() < 0.05) return badValue(random);
  const name = random.pick(Object.keys(args));
  const value = args[name];
  if (value instanceof Int32Array && random.uniform() < 0.5) return { ...args, [name]: value.with(0, random.pick([-(2 ** 31), -1, 1, 5, 2 ** 31 - 1])) };
  if (typeof value === "number" && random.uniform() < 0.5) return { ...args, [name]: random.pick([-1, 0, 1, 2, 5, 1000, 2 ** 20, 2 ** 31, 0.5]) };
  return { ...args, [name]: badValue(random) };
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
