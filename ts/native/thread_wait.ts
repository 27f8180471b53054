// How long OpenMP threads spin before they sleep. libgomp's default (about a millisecond) makes threads fight over the cores
// as soon as another program runs: many times slower on a busy machine. A short spin costs an idle one next to nothing.
import { createRequire } from "node:module";

const spinCount = "1000"; // a few microseconds

/** Sets GOMP_SPINCOUNT unless the user chose a policy. Call before the addon, and with it libgomp, is loaded: it reads the environment once. */
export function shortenThreadWait(): void {
  if (process.env.GOMP_SPINCOUNT || process.env.OMP_WAIT_POLICY) return;
  process.env.GOMP_SPINCOUNT = spinCount; // reaches the C environment in Node and Deno
  if (!process.versions.bun) return;
  const { dlopen } = createRequire(import.meta.url)("bun:ffi") as typeof import("bun:ffi");
  const text = (value: string) => new TextEncoder().encode(`${value}\0`);
  const libc = process.platform === "darwin" ? "libSystem.dylib" : "libc.so.6";
  let setenv: (name: Uint8Array, value: Uint8Array, overwrite: number) => number;
  try {
    setenv = dlopen(libc, { setenv: { args: ["cstring", "cstring", "int"], returns: "int" } } as const).symbols.setenv as unknown as typeof setenv;
  } catch {
    return; // another libc: only the default spin remains
  }
  setenv(text("GOMP_SPINCOUNT"), text(spinCount), 0);
}
