// `primekit info`: what runs here, and why it is fast or not; with the options of a run, also the memory that it would take.
import { availableParallelism, cpus } from "node:os";
import { loadAddon } from "../native/addon.ts";
import type { NativeInfo } from "../native/types.ts";
import { VERSION } from "../version.ts";
import { availableMemory } from "./available_memory.ts";
import type { Command } from "./command.ts";
import type { Options } from "./flags.ts";
import { jobFlags } from "./job_config.ts";
import { inWords } from "./memory_plan.ts";
import { describePlan } from "./plan.ts";

export const infoCommand: Command = {
  name: "info",
  description: "CPU features, the library behind matrix products, memory, the GPU's state; with options of `train`, such as --model, also their memory plan.",
  flags: jobFlags(),
  run: async (options: Options) => {
    const plan = Object.keys(options).length > 0 ? await describePlan(options) : "What memory a run would take: primekit plan, with the run's options.";
    process.stdout.write(`${describeSystem()}\n\n${plan}\n`);
    return 0;
  },
};

export function describeSystem(): string {
  const { addon, path } = loadAddon();
  const info = addon.info();
  const rows = [
    ["primekit", VERSION],
    ["runtime", `${runtime()} (${process.platform} ${process.arch})`],
    ["CPU", `${cpus()[0]?.model.trim() ?? "unknown"}, ${availableParallelism()} cores`],
    ["CPU features", info.cpuFeatures.join(" ") || "none that matter"],
    ["matrix products", info.gemm],
    ["threads", String(info.threads)],
    ["memory available", inWords(availableMemory("cpu") ?? 0)],
    ["GPU", addon.cudaState().state],
    ...gpuMemory(),
    ["CUDA at build", cudaBuild(info)],
    ["compiler", info.compiler],
    ["addon", path],
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 3;
  return rows.map(([name, value]) => name.padEnd(width) + value).join("\n");
}

// --- internal ---

function gpuMemory(): string[][] {
  const free = availableMemory("cuda");
  return free === undefined ? [] : [["its memory available", inWords(free)]];
}

function runtime(): string {
  const { bun, deno, node } = process.versions;
  return bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`;
}

function cudaBuild({ nvcc, cudaBackend }: NativeInfo): string {
  const compiler = nvcc ? `nvcc ${nvcc} was found` : "no nvcc was found";
  return `${compiler}; this build ${cudaBackend ? "has" : "has no"} CUDA backend`;
}
