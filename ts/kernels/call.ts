// Running a checked kernel call, now or on the compute thread.
import { PrimekitError, rangeError, typeError } from "../errors.ts";
import { native } from "../native/addon.ts";
import type { Device } from "../native/device.ts";
import type { CancelFlag, KernelExports } from "../native/types.ts";
import { DeviceArray } from "./device_array.ts";

export type WithSignal<T> = T & { signal?: AbortSignal };

/** Options of every kernel. */
export interface RunOptions {
  device?: Device; // where typed arrays are worked on, copied there and back; default "cpu". DeviceArrays are worked on where they are
}

/** The last arguments of a native call: a flag to stop it by, and with it the compute thread; the device. */
export type How = [cancel: CancelFlag | undefined, device: Device | undefined];

/** A call whose arguments were checked: what to run, and what to return. */
export interface KernelCall<Result> {
  run: (addon: KernelExports, ...how: How) => unknown;
  /** raw: what the native call returned */
  result: (raw: never) => Result;
  /** Arrays that the call reads or writes. */
  arrays: readonly unknown[];
  /** Those that are of no use when it has run. */
  temporaries?: readonly unknown[];
}

type Build<Arguments extends unknown[], Result> = (...args: Arguments) => KernelCall<Result>;

/** Checks the arguments, the last of which are the options, and runs the call. */
export function runNow<Arguments extends unknown[], Result>(build: Build<Arguments, Result>, ...args: Arguments): Result {
  const call = build(...(withIndices(args, (array) => array.toHost<Int32Array>()) as Arguments));
  try {
    return call.result(call.run(native(), undefined, deviceOf(args)) as never);
  } finally {
    freeAll(call.temporaries);
  }
}

/**
 * The same on the compute thread. The arrays must be left alone until the promise settles; when it rejects, the outputs hold
 * anything.
 */
export async function runLater<Arguments extends unknown[], Result>(build: Build<Arguments, Result>, ...args: Arguments): Promise<Result> {
  const signal = (args[args.length - 1] as { signal?: AbortSignal } | undefined)?.signal;
  checkSignal(signal);
  const indices = indicesIn(args);
  const call = build(...(indices.length === 0 ? args : await onHost(args, indices)));
  for (const array of call.arrays) checkFixed(array);
  signal?.throwIfAborted();
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const abort = () => Atomics.store(cancel, 0, 1);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return call.result((await call.run(native(), cancel, deviceOf(args))) as never);
  } catch (error) {
    if (signal?.aborted && (error as { code?: string }).code === "ERR_ABORTED") throw signal.reason;
    throw error;
  } finally {
    freeAll(call.temporaries);
    signal?.removeEventListener("abort", abort);
  }
}

// --- internal ---

function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw typeError("signal", "an AbortSignal", signal);
}

// Memory that JavaScript can give back while the job runs must not be read by it.
function checkFixed(array: unknown): void {
  if (ArrayBuffer.isView(array) && "resizable" in array.buffer && array.buffer.resizable) {
    throw new PrimekitError(
      "ERR_INVALID_ARGUMENT",
      "An asynchronous kernel call got an array on a resizable ArrayBuffer, which could shrink while it is read; copy it first, or use the synchronous call.",
    );
  }
}

function deviceOf(args: readonly unknown[]): Device | undefined {
  const device = (args[args.length - 1] as RunOptions | undefined)?.device;
  if (device !== undefined && device !== "cpu" && device !== "cuda") throw rangeError("device", '"cpu" or "cuda"', device);
  return device;
}

const isIndex = (value: unknown): value is DeviceArray => value instanceof DeviceArray && value.dtype === "int32";

// Ids and offsets decide what memory is touched, so they are checked on the host, wherever they come from.
function withIndices(args: readonly unknown[], host: (array: DeviceArray) => Int32Array | undefined): unknown[] {
  const replaced = (value: unknown) => (isIndex(value) ? host(value) : value);
  const options = args[args.length - 1];
  const fields = typeof options === "object" && options !== null && !(options instanceof DeviceArray) ? Object.entries(options) : [];
  if (!fields.some(([, value]) => isIndex(value))) return args.map(replaced);
  return [...args.slice(0, -1).map(replaced), Object.fromEntries(fields.map(([name, value]) => [name, replaced(value)]))];
}

function indicesIn(args: readonly unknown[]): DeviceArray[] {
  const found: DeviceArray[] = [];
  withIndices(args, (array) => {
    found.push(array);
    return undefined;
  });
  return found;
}

async function onHost<Arguments extends unknown[]>(args: Arguments, indices: readonly DeviceArray[]): Promise<Arguments> {
  const copies = new Map(await Promise.all(indices.map(async (array) => [array, await array.toHostAsync<Int32Array>()] as const)));
  return withIndices(args, (array) => copies.get(array)) as Arguments;
}

function freeAll(arrays: readonly unknown[] = []): void {
  for (const array of arrays) if (array instanceof DeviceArray) array[Symbol.dispose]();
}
