// DeviceArray: an array in a GPU's memory (or, on "cpu", in native memory), which every kernel takes in place of a typed array.
import { PrimekitError, rangeError, typeError } from "../errors.ts";
import { native } from "../native/addon.ts";
import { chooseDevice, type Device } from "../native/device.ts";
import type { ArrayDType, DeviceHandle, HostArray, NativeDeviceArray } from "../native/types.ts";

export interface DeviceOptions {
  device?: "auto" | Device; // default "auto": the GPU where there is one
}
/** An array of zeros to be made. */
export interface ArrayShape {
  shape: number | readonly number[]; // elements, or rows and columns
  dtype: ArrayDType;
}

const HOST = { float32: Float32Array, float64: Float64Array, bfloat16: Uint16Array, int32: Int32Array } as const;
const DTYPES = Object.keys(HOST) as ArrayDType[];

/**
 * Numbers in the memory of one device. It is freed by free() or `using`, not by the garbage collector, which knows nothing of a
 * GPU's memory: what was forgotten is released when the next call uses device arrays.
 *
 * Work on a GPU runs in the order of the calls, theirs and the models'. A call without Async waits for its turn; the promise of an
 * Async one resolves when its work is on its way, and whatever comes next follows it. An error of the GPU may show at a later call.
 * @throws PrimekitError ERR_ARRAY_FREED, ERR_OUT_OF_MEMORY, ERR_DEVICE_LOST, ERR_UNSUPPORTED ("cuda" without a GPU)
 */
export class DeviceArray implements DeviceHandle {
  readonly dtype: ArrayDType;
  readonly shape: readonly number[];
  readonly length: number;
  readonly device: Device;
  /** For the native side; undefined once freed. @internal */
  handle: NativeDeviceArray | undefined;

  /** An array whose memory is taken when a kernel first writes to it. @internal */
  constructor(dtype: ArrayDType, shape: readonly number[], device: Device) {
    this.dtype = dtype;
    this.shape = shape;
    this.length = shape.reduce((product, size) => product * size, 1);
    this.device = device;
    this.handle = new (native().NativeDeviceArray)(device, dtype, this.length);
  }

  /** A copy of a typed array (a Uint16Array holds bfloat16), or an array of zeros of the given shape. */
  static from(source: HostArray | ArrayShape, options: DeviceOptions = {}): DeviceArray {
    const array = arrayLike(source, options);
    fill(array, source, false);
    return array;
  }

  static async fromAsync(source: HostArray | ArrayShape, options: DeviceOptions = {}): Promise<DeviceArray> {
    const array = arrayLike(source, options);
    await fill(array, source, true);
    return array;
  }

  get byteLength(): number {
    return this.length * HOST[this.dtype].BYTES_PER_ELEMENT;
  }

  get freed(): boolean {
    return this.handle === undefined;
  }

  /** A copy of the values, in `out` when given. Waits for the work before it. */
  toHost<T extends HostArray = Float32Array>(out?: T): T {
    const target = this.#host(out);
    this.#live().read(target, false);
    return target as T;
  }

  async toHostAsync<T extends HostArray = Float32Array>(out?: T): Promise<T> {
    const target = this.#host(out);
    await this.#live().read(target, true);
    return target as T;
  }

  /** Replaces the values. */
  set(source: HostArray): void {
    this.#live().write(this.#host(source), false);
  }

  async setAsync(source: HostArray): Promise<void> {
    await this.#live().write(this.#host(source), true);
  }

  /** Gives the memory back, after the calls that use it. Throws when that was done before. */
  free(): void {
    this.#live().free();
    this.handle = undefined;
  }

  [Symbol.dispose](): void {
    if (!this.freed) this.free();
  }

  #live(): NativeDeviceArray {
    if (this.handle) return this.handle;
    throw new PrimekitError("ERR_ARRAY_FREED", `This DeviceArray (${this.dtype}, ${this.length} elements) was freed.`);
  }

  #host(array: HostArray | undefined): HostArray {
    const Class = HOST[this.dtype];
    if (array === undefined) return new Class(this.length);
    if (!(array instanceof Class)) throw typeError("the host array", `a ${Class.name}, as the DeviceArray is one of ${this.dtype}`, array);
    if (array.length !== this.length) throw rangeError("the host array", `a ${Class.name} of ${this.length} elements`, array);
    return array;
  }
}

// --- internal ---

function arrayLike(source: HostArray | ArrayShape, options: DeviceOptions): DeviceArray {
  const wanted = options.device ?? "auto";
  if (!["auto", "cpu", "cuda"].includes(wanted)) throw rangeError("device", '"auto", "cpu" or "cuda"', wanted);
  const device = chooseDevice(wanted);
  if (ArrayBuffer.isView(source)) {
    const dtype = DTYPES.find((name) => source instanceof HOST[name]);
    if (!dtype) throw typeError("source", "a Float32Array, Float64Array, Int32Array, Uint16Array (bfloat16) or { shape, dtype }", source);
    return new DeviceArray(dtype, [source.length], device);
  }
  if (typeof source !== "object" || source === null) throw typeError("source", "a typed array or { shape, dtype }", source);
  if (!DTYPES.includes(source.dtype)) throw rangeError("dtype", DTYPES.map((name) => `"${name}"`).join(", "), source.dtype);
  const shape = Array.isArray(source.shape) ? source.shape.slice() : [source.shape];
  for (const size of shape) if (!Number.isInteger(size) || size < 0) throw rangeError("shape", "an integer from 0 on, or an array of such", size);
  return new DeviceArray(source.dtype, shape, device);
}

// The native call is made before anything is awaited; memory that could not be had leaves nothing behind.
function fill(array: DeviceArray, source: HostArray | ArrayShape, later: boolean): unknown {
  const handle = array.handle as NativeDeviceArray;
  return ArrayBuffer.isView(source) ? handle.write(source, later) : handle.clear(later);
}
