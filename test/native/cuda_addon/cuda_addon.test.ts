// JavaScript to CUDA, end to end, without a GPU: the addon is built with the sources of native/cuda on the shim of test/native/cuda_shim, which
// carries a GPU's threads out on the CPU. What passes here is the binding, the kernels' arithmetic and their order of events; nothing is said of
// a real GPU (scripts/gpu_check.sh does that).
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { findProgram } from "../../../ts/native/setup/build_key.ts";
import { TINY } from "../../cli/support.ts";
import { buildShimAddon } from "./shim.ts";

const ROOT = resolve(import.meta.dir, "../../..");
const LIMIT = 600_000; // the first build takes a minute of one core
const tools = findProgram("cmake") !== undefined;
if (!tools) process.stderr.write("skipped: the CUDA backend from JavaScript needs cmake to build the addon on the shim\n");
let addon = "";
const folder = mkdtempSync(join(tmpdir(), "primekit-shim-"));

beforeAll(() => {
  if (tools) addon = buildShimAddon();
}, LIMIT);
afterAll(() => rmSync(folder, { recursive: true }));

function onShim(...args: string[]): string {
  const env = { ...process.env, PRIMEKIT_ADDON: addon, PRIMEKIT_SETUP: "off", PRIMEKIT_TEST_DEVICE: "cuda", OMP_NUM_THREADS: "1", NO_COLOR: "1" };
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, ...args], { cwd: ROOT, env, stdin: "ignore" });
  expect(exitCode, `${args.join(" ")}: ${stdout}${stderr}`).toBe(0);
  return `${stdout}${stderr}`;
}
const passed = (output: string) => Number(/^ *(\d+) pass$/m.exec(output)?.[1]);

test.skipIf(!tools)(
  "every kernel, on device arrays and on copies, called well and called badly",
  () => expect(passed(onShim("test", "--timeout", "60000", "test/ops/device_array.test.ts", "test/ops/bad_calls.test.ts"))).toBeGreaterThan(50),
  LIMIT,
);

test.skipIf(!tools)(
  "models: log-probs, training, generation, files",
  () => expect(passed(onShim("test", "--timeout", "60000", "./test/native/cuda_addon/models.ts"))).toBeGreaterThan(4),
  LIMIT,
);

test.skipIf(!tools)(
  "no memory, a lost device",
  () => expect(passed(onShim("test", "--timeout", "60000", "./test/native/cuda_addon/failures.ts"))).toBeGreaterThan(3),
  LIMIT,
);

test.skipIf(!tools)(
  "info says what this GPU is",
  () => {
    expect(onShim("run", "ts/cli/bin.ts", "info")).toMatch(
      /GPU +There is no GPU: this build's CUDA is a shim for tests, on the CPU\.\n[\s\S]*this build has CUDA backend/,
    );
  },
  LIMIT,
);

test.skipIf(!tools)(
  "a whole run with --device cuda: fine-tuning, PRIME, checkpoints, the table; what it trained says the same on the CPU",
  () => {
    const args = [...TINY, "--device", "cuda", "--steps", "2", "--sft.steps", "2", "--evalProblems", "4", "--sft.evalProblems", "4"];
    const output = onShim("run", "train.ts", "--runs", folder, "--run", "shim", ...args, "--maxNewTokens", "12");
    expect(output).toContain("held-out accuracy (greedy)");
    const config = JSON.parse(readFileSync(join(folder, "shim", "config.json"), "utf8"));
    expect(JSON.stringify(config)).toContain('"device":"cuda"');
    const checkpoints = join(folder, "shim", "checkpoints");
    const policy = join(checkpoints, readdirSync(checkpoints).toSorted().at(-1) as string, "policy");
    const sampled = ["--prompt", "12+30", "--samples", "4", "--seed", "1", "--maxNewTokens", "8", "--dtype", "float32"];
    const said = (device: string) => onShim("run", "ts/cli/bin.ts", "generate", "--model", policy, ...sampled, "--device", device);
    expect(said("cuda").trim().length).toBeGreaterThan(10);
    expect(said("cuda")).toBe(said("cpu"));
  },
  LIMIT,
);
