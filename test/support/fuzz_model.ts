// A program of its own (a crash must not take the test runner along): throws seeded bad calls at a model and at its native object.
// bun test/support/fuzz_model.ts CALLS SEED  prints {"calls", "resolved", "failed"} and exits 0; anything but an Error thrown exits 1.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Model } from "../../ts/model.ts";
import { native } from "../../ts/native/addon.ts";
import { badValue } from "./bad_values.ts";
import { pack, randomModel, TINY } from "./models.ts";
import { Random } from "./random.ts";

type Call = [receiver: unknown, method: string, ...args: unknown[]];

const calls = Number(process.argv[2] ?? 2000);
const random = new Random(Number(process.argv[3] ?? 1));
const folder = mkdtempSync(join(tmpdir(), "primekit-fuzz-"));
process.chdir(folder); // file names among the bad values land here
process.on("unhandledRejection", (error) => fail(`a rejection nobody could handle: ${String(error)}`));

const closed = await randomModel();
closed.close();
let model = await randomModel();
const batch = pack([[1, 2, 3, 4], [], [5, 6, 7]], [2, 0, 1]);
const flag = () => new Int32Array(new SharedArrayBuffer(4));
let resolved = 0;
let failed = 0;

for (let i = 0; i < calls; i++) {
  const [receiver, method, ...args] = mutate(random.uniform() < 0.5 ? modelCall() : nativeCall());
  try {
    const target = receiver as Record<string, (...a: unknown[]) => unknown>;
    // A call that happens to be valid may be long (a billion tokens): every one is cancelled after a while.
    await within(20_000, target[method].apply(wrongThis(receiver), args), method);
    resolved++;
  } catch (error) {
    if (!(error instanceof Error)) fail(`${method} threw no Error but ${String(error)}`);
    if (error.message === "") fail(`${method} threw an Error without a message`);
    failed++;
  }
  if (i % 200 === 199) model = await reopened();
}
const scores = await (await reopened()).logprobs(batch);
if (scores.logprobs.length !== 4 || !scores.logprobs.every((x) => x < 0)) fail("a fresh model no longer works after the bad calls");
rmSync(folder, { recursive: true, force: true });
console.log(JSON.stringify({ calls, resolved, failed }));
process.exit(0);

/** A valid call of a Model method. */
function modelCall(): Call {
  const loss = (s: { logprobs: Float32Array }) => ({ dLogprobs: s.logprobs });
  const signal = AbortSignal.timeout(50);
  return random.pick<Call>([
    [model, "logprobs", { ...batch }, { temperature: 1, signal }],
    [model, "forwardBackward", { ...batch }, loss, { temperature: 1, signal }],
    [model, "step", { lr: 0.001, betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0, gradClip: 1 }],
    [
      model,
      "generate",
      [[1, 2], [3]],
      {
        samples: 2,
        maxNewTokens: 3,
        temperature: 1,
        topP: 0.9,
        topK: 3,
        seed: 1,
        maxBatch: 2,
        signal,
        stop: { tokens: [1], strings: ["a"], tokenBytes: () => new Uint8Array(1) },
      },
    ],
    [model, "clone", { trainable: true }],
    [model, "copyFrom", random.pick<unknown>([model, closed, {}])],
    [model, "save", join(folder, "saved"), { dtype: "float32" }],
    [model, "saveOptimizer", join(folder, "optimizer")],
    [model, "loadOptimizer", join(folder, "optimizer")],
    [Model, "load", { ...TINY }, { device: "cpu", dtype: "float32", seed: 1 }],
  ]);
}

/** A valid call of the native object (or of the addon's createModel). */
function nativeCall(): Call {
  const target = random.uniform() < 0.1 ? closed.native : model.native;
  const { tokens, offsets, promptLengths } = batch;
  const config = {
    hiddenSize: 8,
    layers: 1,
    heads: 2,
    kvHeads: 1,
    headSize: 4,
    feedForwardSize: 8,
    vocabSize: 9,
    ropeFrequencies: new Float32Array([1, 0.01]),
    ropeScale: 1,
    rmsNormEps: 1e-6,
    tiedHead: true,
    qkvBias: true,
    oBias: false,
    mlpBias: false,
  };
  const options = {
    samples: 1,
    maxNewTokens: 2,
    temperature: 1,
    topP: 1,
    topK: 0,
    seed: 1n,
    stopTokens: new Int32Array(0),
    stopBytes: new Uint8Array([97]),
    stopOffsets: new Int32Array([0, 1]),
    tokenBytes: new Uint8Array(37),
    tokenOffsets: Int32Array.from({ length: 38 }, (_, i) => i),
    maxBatch: 2,
  };
  const part = { name: "model.norm.weight", slot: "value", type: "F32" };
  const cancel = flag();
  setTimeout(() => {
    cancel[0] = 1;
  }, 50);
  return random.pick<Call>([
    [native(), "createModel", config, { dtype: "float32", trainable: true, recompute: false }],
    [native(), "setThreads", 2],
    [target, "initialize", 1n, 0.02],
    [target, "loadTensors", join(folder, "weights"), [{ ...part, begin: 8 }], cancel],
    [target, "saveTensors", join(folder, "weights"), new Uint8Array(8), [part]],
    [target, "copyFrom", model.native],
    [target, "parameters"],
    [target, "readParameter", "model.norm.weight", "gradient"],
    [target, "writeParameter", "model.norm.weight", new Float32Array(TINY.hiddenSize)],
    [target, "forward", tokens, offsets, promptLengths, 1, true, cancel, undefined],
    [target, "logits", tokens, offsets],
    [target, "backward", new Float32Array(4), new Float32Array(4), cancel, undefined],
    [target, "zeroGradients"],
    [target, "step", 0.001, 0.9, 0.99, 1e-8, 0, 1],
    [target, "generate", tokens.slice(0, 4), new Int32Array([0, 4]), new BigUint64Array([0n]), options, cancel, undefined],
    [target, "stepCount"],
    [target, "setStepCount", 3],
    [target, "memoryBytes"],
    [target, "close"],
  ]);
}

/** Spoils one argument, or one property of one, or drops some. */
function mutate(call: Call): Call {
  if (call.length === 2) return call;
  const at = random.integer(2, call.length);
  const value = call[at];
  if (random.uniform() < 0.1) return call.slice(0, at) as unknown as Call;
  if (value instanceof Int32Array && value.length > 0 && random.uniform() < 0.5) {
    call[at] = value.with(random.integer(0, value.length), random.pick([-(2 ** 31), -1, 0, 1, 3, 1000, 2 ** 30, 2 ** 31 - 1]));
  } else if (random.uniform() < 0.6 && typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    call[at] = { ...value, [random.pick(Object.keys(value).concat("unknownKey"))]: badValue(random) };
  } else {
    call[at] = badValue(random);
  }
  return call;
}

/** Now and then a method is called on something else entirely. */
function wrongThis(receiver: unknown): unknown {
  return random.uniform() < 0.04 && receiver !== Model ? random.pick<unknown>([undefined, {}, new Int32Array(3), model, native()]) : receiver;
}

async function within<T>(milliseconds: number, value: T, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(fail(`${what} did not end in ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function reopened(): Promise<Model> {
  native().setThreads(2);
  model.close();
  return randomModel();
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
