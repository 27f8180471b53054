// AbortSignal -> the flag that native jobs poll; progress callbacks whose errors become the call's.
import type { CancelFlag, NativeProgress } from "./native/types.ts";

/**
 * Runs a native call with a cancel flag tied to `signal`; rejects with signal.reason when it was aborted.
 * An error thrown by `onProgress` stops the job and is what the call rejects with.
 */
export async function withSignal<T>(
  signal: AbortSignal | undefined,
  call: (cancel: CancelFlag | undefined, progress: NativeProgress | undefined) => Promise<T>,
  onProgress?: NativeProgress,
): Promise<T> {
  if (!signal && !onProgress) return call(undefined, undefined);
  signal?.throwIfAborted();
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const stop = () => Atomics.store(flag, 0, 1);
  let thrown: { error: unknown } | undefined;
  const progress =
    onProgress &&
    ((done: number, total: number) => {
      try {
        if (!thrown) onProgress(done, total);
      } catch (error) {
        thrown = { error };
        stop();
      }
    });
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const result = await call(flag, progress);
    if (thrown) throw thrown.error;
    return result;
  } catch (error) {
    if (thrown) throw thrown.error;
    if ((error as { code?: string }).code === "ERR_ABORTED") signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
