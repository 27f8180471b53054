// A model of Qwen2.5-0.5B's exact configuration (random weights): what loading it takes, that it generates and trains within 24 GiB, and that its
// logits are those of transformers. Each part runs in a process of its own, so that its peak of memory is its own.
//   bun test/bench/real_models.ts [PART ...]      parts: load-bfloat16 load-float32 generate sft prime logits save
// PRIMEKIT_PEER_PYTHON names a Python with torch and transformers (for logits and save). MODEL_DIR keeps or reuses the model's directory,
// MODEL_PRESET names another preset of scripts/make_random_model.ts.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeRandomModel, PRESETS } from "../../scripts/make_random_model.ts";
import { Model } from "../../ts/model.ts";
import { parsePrimeConfig, parseSftConfig } from "../../ts/train/config.ts";
import { runPrime } from "../../ts/train/prime.ts";
import { runSft } from "../../ts/train/sft.ts";
import { pack, randomRows } from "../support/models.ts";
import { Random } from "../support/random.ts";
import { coin, tinyTask } from "../support/tasks.ts";

const PRESET = PRESETS[process.env.MODEL_PRESET ?? "qwen2.5-0.5b"];
const VOCAB = PRESET.vocab_size as number;
const dtypes = ["float32", "bfloat16"] as const;
const LIMIT = { float32: 1e-3, bfloat16: 2e-2 };

/** Peak resident memory of this process in bytes. */
function peakMemory(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

type Figures = Record<string, number | string>;

async function loadPart(dir: string, dtype: "float32" | "bfloat16"): Promise<Figures> {
  const before = peakMemory();
  const begin = performance.now();
  using model = await Model.load(dir, { dtype, trainable: false });
  const seconds = (performance.now() - begin) / 1000;
  const size = model.numParameters * (dtype === "float32" ? 4 : 2);
  return { parameters: model.numParameters, seconds, "MB before": before / 1e6, "MB peak": peakMemory() / 1e6, "peak / size": peakMemory() / size };
}

async function generatePart(dir: string): Promise<Figures> {
  using model = await Model.load(dir, { dtype: "bfloat16", trainable: false });
  const prompts = randomRows(new Random(1), [40, 13], VOCAB);
  const begin = performance.now();
  const rollouts = await model.generate(prompts, { samples: 2, maxNewTokens: 24, seed: 1 });
  const tokens = rollouts.reduce((sum, rollout) => sum + rollout.tokens.length, 0);
  return { tokens, seconds: (performance.now() - begin) / 1000, "GiB peak": peakMemory() / 2 ** 30 };
}

const small = { maxNewTokens: 12, evalProblems: 2, sampleAnswers: 0, saveEvery: 0 };

async function sftPart(dir: string): Promise<Figures> {
  using model = await Model.load(dir, { dtype: "bfloat16" });
  const config = parseSftConfig({ steps: 1, batchSize: 8, maxNewTokens: 12, evalProblems: 2, saveEvery: 0 });
  const begin = performance.now();
  const result = await runSft({ config, task: tinyTask(coin), model });
  return { loss: result.loss ?? Number.NaN, skipped: result.skippedUpdates, seconds: (performance.now() - begin) / 1000, "GiB peak": peakMemory() / 2 ** 30 };
}

async function primePart(dir: string): Promise<Figures> {
  using policy = await Model.load(dir, { dtype: "bfloat16" });
  const config = parsePrimeConfig({ ...small, steps: 1, promptsPerStep: 2, samplesPerPrompt: 4, filterLow: 0, filterHigh: 1, lr: 1e-6, prmLr: 1e-6 });
  const begin = performance.now();
  const result = await runPrime({ config, task: tinyTask(coin), policy });
  return { steps: result.step, seconds: (performance.now() - begin) / 1000, "GiB peak": peakMemory() / 2 ** 30 };
}

/** Differences from transformers' logits on random ids; in bfloat16 also of both from transformers' float32 ones, which says how much of it is rounding. */
async function logitsPart(dir: string): Promise<Figures> {
  const python = process.env.PRIMEKIT_PEER_PYTHON;
  if (!python) return { skipped: "PRIMEKIT_PEER_PYTHON does not name a Python with torch and transformers" };
  const rows = randomRows(new Random(2), [96, 31], VOCAB);
  const figures: Figures = {};
  let exact = new Float32Array(0);
  for (const dtype of dtypes) {
    const file = join(dir, `logits-${dtype}.bin`);
    const call = [join(import.meta.dirname, "peers", "logits.py"), dir, dtype, file, JSON.stringify(rows.map((row) => Array.from(row)))];
    const child = spawnSync(python, call, { stdio: "inherit", env: { ...process.env, HF_HUB_OFFLINE: "1" } });
    if (child.status !== 0) throw new Error("the peer's program failed; its messages are above");
    const bytes = readFileSync(file);
    const theirs = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    rmSync(file);
    using model = await Model.load(dir, { dtype, trainable: false });
    const { tokens, offsets } = pack(rows);
    const ours = await model.native.logits(tokens, offsets);
    const { largest, relative, size } = difference(ours, theirs);
    figures[`${dtype}: root mean square of logits`] = size;
    figures[`${dtype}: largest difference`] = largest;
    figures[`${dtype}: relative difference (norms)`] = relative;
    figures[`${dtype}: within the limit`] = String((dtype === "float32" ? largest : relative) <= LIMIT[dtype]);
    if (dtype === "float32") exact = theirs;
    else {
      figures["bfloat16: ours from exact, relative"] = difference(ours, exact).relative;
      figures["bfloat16: transformers' from exact, relative"] = difference(theirs, exact).relative;
    }
  }
  return figures;
}

function difference(ours: Float32Array, theirs: Float32Array): { largest: number; relative: number; size: number } {
  let largest = 0;
  let squares = 0;
  let size = 0;
  for (let i = 0; i < ours.length; i++) {
    const distance = Math.abs(ours[i] - theirs[i]);
    if (!(distance <= largest)) largest = distance;
    squares += distance * distance;
    size += theirs[i] * theirs[i];
  }
  return { largest, relative: Math.sqrt(squares / size), size: Math.sqrt(size / ours.length) };
}

/** Saves in shards; transformers must read the copy as exactly the original's weights. */
async function savePart(dir: string): Promise<Figures> {
  const copy = mkdtempSync(join(tmpdir(), "primekit-saved-"));
  try {
    using model = await Model.load(dir, { dtype: "bfloat16", trainable: false });
    await model.save(copy, { maxShardBytes: 400e6 });
    const python = process.env.PRIMEKIT_PEER_PYTHON;
    if (!python) return { skipped: "PRIMEKIT_PEER_PYTHON does not name a Python with torch and transformers" };
    const child = spawnSync(python, [join(import.meta.dirname, "peers", "same_model.py"), dir, copy], { encoding: "utf8" });
    if (child.status !== 0) throw new Error(child.stderr);
    return { transformers: child.stdout.trim(), "GB peak": peakMemory() / 1e9 };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

const PARTS: Record<string, (dir: string) => Promise<Figures>> = {
  "load-bfloat16": (dir) => loadPart(dir, "bfloat16"),
  "load-float32": (dir) => loadPart(dir, "float32"),
  generate: generatePart,
  sft: sftPart,
  prime: primePart,
  logits: logitsPart,
  save: savePart,
};

const part = process.env.REAL_MODELS_PART;
if (part) {
  const figures = await PARTS[part](process.env.MODEL_DIR as string);
  for (const [name, value] of Object.entries(figures)) if (typeof value === "number") figures[name] = Number(value.toPrecision(4));
  console.log(`${part}: ${JSON.stringify(figures)}`);
} else {
  const kept = process.env.MODEL_DIR;
  const dir = kept ?? mkdtempSync(join(tmpdir(), "primekit-real-"));
  try {
    if (!existsSync(join(dir, "config.json"))) makeRandomModel(dir, PRESET);
    const wanted = process.argv.slice(2);
    for (const name of wanted.length > 0 ? wanted : Object.keys(PARTS)) {
      const env = { ...process.env, REAL_MODELS_PART: name, MODEL_DIR: dir };
      const child = spawnSync(process.execPath, [import.meta.filename], { stdio: "inherit", env });
      if (child.status !== 0) writeFileSync(1, `${name}: failed with status ${child.status}, signal ${child.signal}\n`);
    }
  } finally {
    if (!kept) rmSync(dir, { recursive: true, force: true });
  }
}
