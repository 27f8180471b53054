// AbortSignal -> the flag that native jobs poll.
import type { CancelFlag } from "./native/types.ts";

/** Runs a native call with a cancel flag tied to `signal`; rejects with signal.reason when it was aborted. */
export async function withSignal<T>(signal: AbortSignal | undefined, call: (cancel: CancelFlag | undefined) => Promise<T>): Promise<T> {
  if (!signal) return call(undefined);
  signal.throwIfAborted();
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const onAbort = () => Atomics.store(flag, 0, 1);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await call(flag);
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_ABORTED") signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
