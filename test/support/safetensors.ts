// A reader of safetensors files of its own, so that fixtures do not depend on the code under test.
import { readFileSync } from "node:fs";

export interface RecordedTensor {
  shape: number[];
  values: Float32Array;
}

/** All tensors of a file (float32 or bfloat16), as float32. */
export function readSafetensors(file: string): Map<string, RecordedTensor> {
  const bytes = readFileSync(file);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerLength)) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const tensors = new Map<string, RecordedTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    tensors.set(name, { shape: entry.shape, values: readValues(view, 8 + headerLength + entry.data_offsets[0], entry) });
  }
  return tensors;
}

function readValues(view: DataView, begin: number, entry: { dtype: string; shape: number[] }): Float32Array {
  const size = entry.shape.reduce((a, b) => a * b, 1);
  if (entry.dtype === "F32") return Float32Array.from({ length: size }, (_, i) => view.getFloat32(begin + 4 * i, true));
  if (entry.dtype !== "BF16") throw new Error(`the tensor type ${entry.dtype} is not read here`);
  const words = new Uint32Array(size);
  for (let i = 0; i < size; i++) words[i] = view.getUint16(begin + 2 * i, true) << 16;
  return new Float32Array(words.buffer);
}
