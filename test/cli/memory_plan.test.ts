// The memory plan of the main job: its table, the refusal and its advice, and what is available.
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { availableMemory } from "../../ts/cli/available_memory.ts";
import { type JobConfig, resolveJob } from "../../ts/cli/job_config.ts";
import { jobWork, type PlanInput, planJob } from "../../ts/cli/job_plan.ts";
import { renderPlan, requireMemory } from "../../ts/cli/memory_plan.ts";
import { PrimekitError } from "../../ts/errors.ts";
import { fixtureDir } from "../support/models.ts";

setDefaultTimeout(120_000); // test machines are busy
const ROOT = resolve(import.meta.dir, "../..");
const input: PlanInput = {
  model: { vocabSize: 1000, hiddenSize: 256, intermediateSize: 768, numHiddenLayers: 6, numAttentionHeads: 4, numKeyValueHeads: 2 },
  promptTokens: 100,
};
const jobOf = (options: object = {}): JobConfig => resolveJob({ ...options, model: { device: "cpu", ...(options as { model?: object }).model } } as never);
const totalOf = (options?: object) => planJob(jobOf(options), input).total;

/** The refusal with so much memory. */
function refusal(options: object, available: number): string {
  try {
    requireMemory(jobWork(jobOf(options), input), available);
  } catch (error) {
    expect(error).toBeInstanceOf(PrimekitError);
    expect((error as PrimekitError).code).toBe("ERR_OUT_OF_MEMORY");
    return (error as Error).message;
  }
  throw new Error("the run was not refused");
}

function run(args: string[], cwd = ROOT) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, join(ROOT, "ts/cli/bin.ts"), ...args], {
    cwd,
    env: { ...process.env, PRIMEKIT_SETUP: "off" },
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

test("PRM and reference are counted where the algorithm has them", () => {
  const names = (options: object) => planJob(jobOf(options), input).models.map(({ name }) => name);
  expect(names({})).toEqual(["policy", "PRM", "reference"]);
  expect(names({ algo: "rloo" })).toEqual(["policy"]);
  expect(names({ algo: "rloo", klCoef: 0.1 })).toEqual(["policy", "reference"]);
  expect(names({ reference: "policy" })).toEqual(["policy", "PRM"]);
  const [, untrained] = planJob(jobOf({ prmUpdate: "none" }), input).models;
  expect([untrained.bytes.gradients, untrained.bytes.moments]).toEqual([0, 0]);
});

test("sizes follow the options", () => {
  expect(totalOf({ maxTokensPerBatch: 1024, sft: { maxTokensPerBatch: 1024 } })).toBeLessThan(totalOf());
  expect(totalOf({ model: { recompute: true } })).toBeLessThan(totalOf());
  expect(totalOf({ model: { dtype: "float32" } })).toBeGreaterThan(totalOf());
  expect(totalOf({ model: { moments: "bfloat16" } })).toBeLessThan(totalOf());
  expect(totalOf({ offload: true })).toBe(totalOf()); // on the CPU it changes nothing
  const cache = (slots: number) => planJob(jobOf({ generationSlots: slots, sft: { generationSlots: slots } }), input).models[0].bytes.cache;
  expect(cache(256)).toBe(2 * cache(128));
  // A budget beyond all there is to train on costs nothing.
  const few = { promptsPerStep: 1, samplesPerPrompt: 2, maxDraws: 1, sft: { batchSize: 1 } };
  expect(totalOf({ ...few, maxTokensPerBatch: 1e6 })).toBe(totalOf({ ...few, maxTokensPerBatch: 1e7 }));
});

test("the table has a column for each model and sums that add up", () => {
  const text = renderPlan(planJob(jobOf(), input), 5e9);
  expect(text).toMatch(/^memory on the CPU +policy +PRM +reference$/m);
  expect(text).toMatch(/^available +5\.00 GB$/m);
  const bytes = (line: string) =>
    Array.from(line.matchAll(/([\d.]+) (GB|MB|kB)|–/g), ([, value, unit]) => (value ? Number(value) * { GB: 1e9, MB: 1e6, kB: 1e3 }[unit as "GB"] : 0));
  const lines = text.split("\n");
  const columns = lines.slice(1, 8).map(bytes);
  const sums = bytes(lines[8]);
  for (let c = 0; c < 3; c++) expect(columns.reduce((sum, row) => sum + row[c], 0) / sums[c]).toBeCloseTo(1, 2);
  const [scratch, total] = [bytes(lines[10])[0], bytes(lines[11])[0]];
  expect((scratch + sums[0] + sums[1] + sums[2]) / total).toBeCloseTo(1, 2);
});

test("a run that does not fit is refused, and every option named would make it fit", () => {
  expect(() => requireMemory(jobWork(jobOf(), input), totalOf())).not.toThrow();
  const available = totalOf() * 0.9;
  const text = refusal({}, available);
  expect(text).toContain(renderPlan(planJob(jobOf(), input), available));
  const advice = /It would fit with (.*)\. PRIMEKIT_MEMORY_CHECK=off/.exec(text)?.[1].split(", or with ") ?? [];
  expect(advice.length).toBeGreaterThanOrEqual(2);
  for (const flags of advice) expect(totalOf(optionsFrom(flags))).toBeLessThanOrEqual(available);
});

test("on a GPU the models can take turns", () => {
  const onGpu = (options: object = {}) => jobOf({ ...options, model: { device: "cuda", ...(options as { model?: object }).model } });
  const [here, away] = [planJob(onGpu(), input), planJob(onGpu({ offload: true }), input)];
  const sums = here.models.map(({ bytes: { scratch: _, ...own } }) => Object.values(own).reduce((a, b) => a + b));
  expect(here.total - away.total).toBe(sums[0] + sums[1] + sums[2] - Math.max(...sums));
  const loaded = planJob(onGpu({ offload: true, model: { source: "DIR" }, data: { source: "FILE" } }), input);
  const [{ bytes, most }] = loaded.models;
  expect(most).toBe(bytes.weights + bytes.rounded + bytes.moments + Math.max(bytes.gradients + bytes.activations, bytes.cache + bytes.decoding));
  expect(loaded.total).toBe(Math.max(...loaded.models.map((model) => model.most)) + bytes.scratch);
  expect(renderPlan(away, undefined)).toMatch(/^total, one model at a time +\d.*\navailable +no GPU here\nin the host's memory +\d/m);
  expect(here.host).toBe(0);
  expect(planJob(onGpu({ algo: "rloo", offload: true }), input)).toEqual(planJob(onGpu({ algo: "rloo" }), input)); // nobody to take turns with
  expect(() => requireMemory(jobWork(onGpu(), input), away.total)).toThrow("or with --offload");
  // They must have room to wait in.
  const waiting = jobWork(onGpu({ offload: true }), input);
  expect(() => requireMemory(waiting, away.total, away.host)).not.toThrow();
  expect(() => requireMemory(waiting, away.total, away.host - 1)).toThrow(
    /of the host's memory for models that wait there, of which .* is available\.\n\nmemory/,
  );
  expect(() => requireMemory(jobWork(onGpu(), input), away.total, away.host - 1)).toThrow(/^(?![\s\S]*with --offload[.,])[\s\S]*It would fit with/);
});

test("where no option alone is enough, they are named together, or that none are", () => {
  const whole = totalOf({ model: { dtype: "float32" } });
  const least = {
    model: { recompute: true, moments: "bfloat16" },
    maxTokensPerBatch: 256,
    generationSlots: 8,
    sft: { maxTokensPerBatch: 256, generationSlots: 8 },
  };
  const together = refusal({ model: { dtype: "float32" } }, totalOf(least) * 1.1);
  const flags = /It would fit with (--model\.dtype bfloat16 --.*)\. PRIMEKIT/.exec(together)?.[1] ?? "";
  expect(totalOf(optionsFrom(flags))).toBeLessThanOrEqual(totalOf(least) * 1.1);
  expect(whole).toBeGreaterThan(totalOf(least) * 1.1);
  expect(refusal({}, 1e6)).toContain("would make it fit: it takes a smaller model or more memory.");
});

test("PRIMEKIT_MEMORY_CHECK=off starts a run all the same", () => {
  process.env.PRIMEKIT_MEMORY_CHECK = "off";
  try {
    expect(() => requireMemory(jobWork(jobOf(), input), 1)).not.toThrow();
  } finally {
    delete process.env.PRIMEKIT_MEMORY_CHECK;
  }
});

test("available is what the kernel says, within the limits of all control groups around", () => {
  const root = mkdtempSync(join(tmpdir(), "primekit-memory-"));
  const put = (files: Record<string, string>) => {
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), text);
    }
    return availableMemory("cpu", root);
  };
  try {
    expect(put({ "proc/meminfo": "MemTotal: 900 kB\nMemAvailable:     500 kB\n" })).toBe(512000);
    const group = { "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "300000", "sys/fs/cgroup/a/memory.current": "200000" };
    expect(put({ ...group, "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.current": "9" })).toBe(100000);
    expect(put({ "sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 150000\n" })).toBe(250000);
    const first = "sys/fs/cgroup/memory";
    expect(put({ [`${first}/memory.limit_in_bytes`]: "70000\n", [`${first}/memory.usage_in_bytes`]: "30000\n" })).toBe(40000);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("plan prints the table for a directory, for a config.json alone and for the built-in task", () => {
  const dir = fixtureDir("qwen2_tied");
  const [ofDirectory, ofFile] = [dir, join(dir, "config.json")].map((model) => run(["plan", "--model", model, "--data", "rows.jsonl", "--device", "cpu"]));
  expect(ofDirectory.exitCode, ofDirectory.stderr).toBe(0);
  expect(ofFile.stdout.split("\n").slice(0, -2)).toEqual(ofDirectory.stdout.split("\n").slice(0, -2)); // all but what is available
  const builtIn = run(["plan", "--algo", "rloo", "--device", "cpu"]);
  expect(builtIn.stdout).toMatch(/^memory on the CPU +policy$/m);
  expect(run(["plan", "--model", dir, "--data", "rows.jsonl", "--device", "cuda"]).stdout).toMatch(/^memory on the GPU/);
});

test("train is refused before there is a run folder", () => {
  const runs = mkdtempSync(join(tmpdir(), "primekit-refused-"));
  try {
    const sizes = ["--model.hiddenSize", "16384", "--model.intermediateSize", "65536", "--model.numHiddenLayers", "200", "--model.numAttentionHeads", "128"];
    const { exitCode, stderr } = run(["train", "--device", "cpu", ...sizes, "--runs", join(runs, "none")]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^primekit: This run needs \d+\.\d\d GB of memory, but the CPU has .* available\.\n\nmemory on the CPU/);
    expect(stderr).toContain("it takes a smaller model or more memory");
    expect(() => rmSync(join(runs, "none"))).toThrow("ENOENT");
  } finally {
    rmSync(runs, { recursive: true });
  }
});

/** "--a.b 1 --c" as the options a configuration file would hold. */
function optionsFrom(flags: string): object {
  const options: Record<string, unknown> = {};
  for (const [, path, value] of flags.matchAll(/--(\S+)(?: ([^-\s]\S*))?/g)) {
    const [section, name] = path.includes(".") ? path.split(".") : [undefined, path];
    const to = section ? ((options[section] as Record<string, unknown>) ?? {}) : options;
    to[name] = value === undefined ? true : Number.isNaN(Number(value)) ? value : Number(value);
    if (section) options[section] = to;
  }
  return options;
}
