// The kernels, for this package's trainers and for anybody else's: plain functions on typed arrays.
// Batches are packed: row i is [offsets[i], offsets[i+1]). Each call has an Async form that runs on the compute thread and takes
// an AbortSignal; `out` arrays let a caller reuse memory (outputs must not overlap inputs unless said). Where a typed array of numbers
// goes, a DeviceArray does too: all of one call on one device, where the results are then as well. Ids and offsets are best left on the
// host. Typed arrays are worked on by the CPU unless `device: "cuda"` says that they be copied to the GPU and back.
export type { RunOptions } from "./kernels/call.ts";
export type { Beside, Indices, Logits } from "./kernels/checks.ts";
export { type ArrayShape, DeviceArray, type DeviceOptions } from "./kernels/device_array.ts";
export * from "./kernels/linear_logprobs.ts";
export * from "./kernels/losses.ts";
export * from "./kernels/rewards.ts";
export * from "./kernels/token_logprobs.ts";
