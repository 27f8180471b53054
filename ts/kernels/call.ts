// Running a checked kernel call, now or on the compute thread.
import { PrimekitError, typeError } from "../errors.ts";
import { native } from "../native/addon.ts";
import type { CancelFlag, KernelExports } from "../native/types.ts";

export type WithSignal<T> = T & { signal?: AbortSignal };

/** A call whose arguments were checked: what to run, and what to return. */
export interface KernelCall<Result> {
  run: (addon: KernelExports, cancel?: CancelFlag) => unknown;
  /** raw: what the native call returned */
  result: (raw: never) => Result;
  /** Arrays that the call reads or writes. */
  arrays: readonly (ArrayBufferView | undefined)[];
}

export function runNow<Result>(call: KernelCall<Result>): Result {
  return call.result(call.run(native()) as never);
}

/**
 * Runs the call on the compute thread. The arrays must be left alone until the promise settles; when it rejects, the
 * outputs hold anything.
 */
export async function runLater<Result>(call: KernelCall<Result>, signal: AbortSignal | undefined): Promise<Result> {
  checkSignal(signal);
  for (const array of call.arrays) checkFixed(array);
  signal?.throwIfAborted();
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const abort = () => Atomics.store(cancel, 0, 1);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return call.result((await call.run(native(), cancel)) as never);
  } catch (error) {
    if (signal?.aborted && (error as { code?: string }).code === "ERR_ABORTED") throw signal.reason;
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw typeError("signal", "an AbortSignal", signal);
}

// Memory that JavaScript can give back while the job runs must not be read by it.
function checkFixed(array: ArrayBufferView | undefined): void {
  if (array && "resizable" in array.buffer && array.buffer.resizable) {
    throw new PrimekitError(
      "ERR_INVALID_ARGUMENT",
      "An asynchronous kernel call got an array on a resizable ArrayBuffer, which could shrink while it is read; copy it first, or use the synchronous call.",
    );
  }
}
