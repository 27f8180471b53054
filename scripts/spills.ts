// What ptxas said of every kernel of a CUDA build: registers, and spills to memory, which hot kernels must not have.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface KernelUse {
  kernel: string; // as ptxas names it (mangled)
  target: string; // "sm_90"
  registers: number;
  spilledBytes: number; // stores and loads
}

/** Every kernel of the *.ptxas files under a build folder. */
export function readKernelUse(build: string): KernelUse[] {
  if (!existsSync(build)) return [];
  return readdirSync(build, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ptxas"))
    .flatMap((name) => parseKernelUse(readFileSync(join(build, name), "utf8")));
}

export function parseKernelUse(text: string): KernelUse[] {
  const uses: KernelUse[] = [];
  let target = "";
  for (const line of text.split("\n")) {
    const start = /Compiling entry function '([^']+)' for '(sm_\w+)'/.exec(line);
    const spills = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line);
    const registers = /Used (\d+) registers/.exec(line);
    const now = uses.at(-1);
    if (start) {
      target = start[2];
      uses.push({ kernel: start[1], target, registers: 0, spilledBytes: 0 });
    } else if (spills && now) {
      now.spilledBytes += Number(spills[1]) + Number(spills[2]);
    } else if (registers && now) {
      now.registers = Number(registers[1]);
    }
  }
  return uses;
}
