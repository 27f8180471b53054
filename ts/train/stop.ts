// Stopping by an AbortSignal.

/** Runs `work`; when the signal cut it short, that is not an error. Every other error passes through, also after an abort. */
export async function unlessAborted(signal: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!signal?.aborted || !isAbort(error, signal)) throw error;
  }
}

/** Whether an error says no more than that the signal cut the work short. */
export function isAbort(error: unknown, signal: AbortSignal): boolean {
  if (error === signal.reason) return true;
  return error instanceof Error && (error.name === "AbortError" || ("code" in error && error.code === "ERR_ABORTED"));
}
