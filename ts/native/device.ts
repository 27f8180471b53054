// Whether there is a GPU to use.
import { native } from "./addon.ts";

/** Where native memory and the work on it are. */
export type Device = "cpu" | "cuda";

/** The device that `device: "auto"` stands for here. */
export function chooseDevice(wanted: "auto" | Device): Device {
  if (wanted !== "auto") return wanted; // "cuda" without one is refused by the addon, which knows why
  return hasGpu() ? "cuda" : "cpu";
}

/** Whether there is a GPU that this build and the driver support. */
export function hasGpu(): boolean {
  return native().info().cudaBackend && native().cudaState().devices.length > 0;
}
