// What the built addon depends on, as hashes: when one differs from those noted beside the addon, it is built anew.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { cpus } from "node:os";
import { delimiter, join } from "node:path";

export interface BuildKey {
  sources: string; // changed alone: an incremental build will do
  options: string;
  toolchain: string;
  machine: string;
}

/** CMake options that may be set through the environment. */
export const CMAKE_OPTIONS = ["PRIMEKIT_ARCH", "PRIMEKIT_ONEDNN", "PRIMEKIT_CUDA"];

/** Files that an NVIDIA driver shows (the same in CMakeLists.txt): with one of them, and nvcc, the CUDA backend is built. */
const DRIVER_SIGNS = ["/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg"];

/** Takes a few milliseconds: tools are known by path, size and time instead of being asked for their version. */
export function buildKey(root: string): BuildKey {
  return {
    sources: hash([...listSources(root).map((file) => `${file}\n${readFileSync(join(root, file), "utf8")}`)]),
    options: hash([root, ...["PRIMEKIT_BUILD", ...CMAKE_OPTIONS].map((name) => `${name}=${process.env[name] ?? ""}`)]),
    toolchain: hash([...["cmake", "ninja", "make", process.env.CXX || "c++", process.env.CUDACXX || "nvcc"].map(toolStamp), ...oneDnnStamps()]),
    machine: hash([process.platform, process.arch, cpuModel(), ...DRIVER_SIGNS.filter((file) => existsSync(file))]),
  };
}

/** The file of a program on PATH (or the path itself when it has a slash); undefined when there is none. */
export function findProgram(name: string): string | undefined {
  if (name.includes("/")) return existsSync(name) ? name : undefined;
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
}

/** Whether oneDNN's header and library are where a compiler looks. */
export function hasOneDnn(): boolean {
  return oneDnnStamps().length > 0;
}

// --- internal ---

function hash(parts: string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

function listSources(root: string): string[] {
  const files = ["CMakeLists.txt", "binding.gyp"];
  const folders = ["native"];
  for (const folder of folders) {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      if (entry.isDirectory()) folders.push(`${folder}/${entry.name}`);
      else if (/\.(h|cpp|cu|cuh)$/.test(entry.name)) files.push(`${folder}/${entry.name}`);
    }
  }
  return files.sort();
}

function toolStamp(name: string): string {
  const file = findProgram(name);
  return file ? fileStamp(realpathSync(file)) : `no ${name}`;
}

function fileStamp(file: string): string {
  const { size, mtimeMs } = statSync(file);
  return `${file} ${size} ${Math.round(mtimeMs)}`;
}

function oneDnnStamps(): string[] {
  const prefixes = [...(process.env.CMAKE_PREFIX_PATH ?? "").split(delimiter), "/usr/local", "/usr", "/opt/homebrew"].filter(Boolean);
  return prefixes
    .map((prefix) => join(prefix, "include", "dnnl.hpp"))
    .filter((file) => existsSync(file))
    .map(fileStamp);
}

function cpuModel(): string {
  try {
    // One core's lines: the model and the instruction sets, which differ between virtual machines on the same model.
    const core = readFileSync("/proc/cpuinfo", "utf8").split("\n\n")[0].split("\n");
    return core.filter((line) => /^(model name|flags|Features|CPU part)/.test(line)).join("\n");
  } catch {
    return cpus()[0]?.model ?? "unknown"; // not Linux
  }
}
