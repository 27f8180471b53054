// The addon on the CUDA shim: building it, and what tests in its process ask of the shim.
import { dlopen, FFIType } from "bun:ffi";
import { join } from "node:path";
import { buildTarget } from "../../../scripts/build_c.ts";

/** Builds it and returns its file. A build for a real GPU has no such target, so that one is left alone. */
export function buildShimAddon(): string {
  return join(buildTarget("cuda_shim_addon", { gpu: false }), "shim", "cuda_shim_addon.node");
}

/** Controls of the shim in this process, whose addon (PRIMEKIT_ADDON) is the one on the shim. */
export function shimControls() {
  const { i32, f64 } = FFIType;
  const { symbols } = dlopen(process.env.PRIMEKIT_ADDON as string, {
    pk_shim_fail_allocations: { args: [i32], returns: FFIType.void },
    pk_shim_limit_memory: { args: [f64], returns: FFIType.void },
    pk_shim_lose_device: { args: [i32], returns: FFIType.void },
    pk_shim_used_memory: { args: [], returns: f64 },
    pk_shim_graphs_launched: { args: [], returns: i32 },
  });
  return {
    failAllocations: (count: number) => symbols.pk_shim_fail_allocations(count),
    limitMemory: (bytes: number) => symbols.pk_shim_limit_memory(bytes),
    loseDevice: (lost: boolean) => symbols.pk_shim_lose_device(lost ? 1 : 0),
    usedMemory: () => symbols.pk_shim_used_memory(),
    graphsLaunched: () => symbols.pk_shim_graphs_launched(),
  };
}
