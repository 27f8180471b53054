// `primekit info`: what runs here, and why it is fast or not.
import { availableParallelism, cpus } from "node:os";
import { loadAddon } from "../native/addon.ts";
import type { NativeInfo } from "../native/types.ts";
import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";

export const infoCommand: Command = {
  name: "info",
  description: "Versions, CPU features, the library behind matrix products, threads, the GPU's state, and where the addon was found.",
  flags: [],
  run: async () => {
    process.stdout.write(`${describeSystem()}\n`);
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
    ["GPU", addon.cudaState().state],
    ["CUDA at build", cudaBuild(info)],
    ["compiler", info.compiler],
    ["addon", path],
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 3;
  return rows.map(([name, value]) => name.padEnd(width) + value).join("\n");
}

// --- internal ---

function runtime(): string {
  const { bun, deno, node } = process.versions;
  return bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node ${node}`;
}

function cudaBuild({ nvcc, cudaBackend }: NativeInfo): string {
  const compiler = nvcc ? `nvcc ${nvcc} was found` : "no nvcc was found";
  return `${compiler}; this build ${cudaBackend ? "has" : "has no"} CUDA backend`;
}
