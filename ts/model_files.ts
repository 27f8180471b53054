// A model's weights and optimizer state in safetensors files.
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PrimekitError } from "./errors.ts";
import { fileInside, readModelJson } from "./model_dir.ts";
import type { NativeModel, NativeSlot, NativeTensorPart } from "./native/types.ts";
import { makeTensorHeader, readTensorFile, type TensorPlace, type TensorType, tensorBytes } from "./safetensors.ts";

/** Where one weight of a model folder lies. */
export interface FoundTensor {
  file: string;
  place: TensorPlace;
}

/** Every tensor of a directory's model.safetensors, or of its shards as the index lists them. Throws ERR_MODEL_FORMAT or ERR_IO. */
export async function findTensors(dir: string): Promise<Map<string, FoundTensor>> {
  const found = new Map<string, FoundTensor>();
  if (existsSync(join(dir, SINGLE_FILE))) {
    const file = fileInside(dir, SINGLE_FILE);
    for (const [name, place] of readTensorFile(file).tensors) found.set(name, { file, place });
    return found;
  }
  const listed = await readIndex(dir);
  for (const shard of [...new Set(listed.values())].sort()) {
    const file = fileInside(dir, shard);
    for (const [name, place] of readTensorFile(file).tensors) {
      if (listed.get(name) !== shard) throw formatError(dir, `has the tensor ${quote(name)} in ${shard}, where its index does not list it`);
      found.set(name, { file, place });
    }
  }
  for (const [name, shard] of listed) if (!found.has(name)) throw formatError(dir, `lacks the tensor ${quote(name)} that its index lists in ${shard}`);
  return found;
}

/** Loads every weight of the model, once all of them are known to be there in the right shape. */
export async function loadWeights(model: NativeModel, dir: string, tensors: ReadonlyMap<string, FoundTensor>, tiedHead: boolean): Promise<void> {
  const found = new Map(tensors);
  if (tiedHead) found.delete("lm_head.weight"); // some exporters write the tied head a second time
  const byFile = new Map<string, (NativeTensorPart & { begin: number })[]>();
  for (const { name, shape } of model.parameters()) {
    const entry = found.get(name);
    if (!entry) throw formatError(dir, `lacks the tensor ${quote(name)}`);
    checkShape(dir, name, entry.place.shape, shape);
    const parts = byFile.get(entry.file) ?? [];
    parts.push({ name, slot: "value", type: entry.place.type, begin: entry.place.begin });
    byFile.set(entry.file, parts);
    found.delete(name);
  }
  const extra = [...found.keys()].filter((name) => !name.endsWith("rotary_emb.inv_freq")); // a constant that old files carry
  if (extra.length > 0) throw formatError(dir, `has tensors its configuration does not know: ${extra.slice(0, 5).map(quote).join(", ")}`);
  for (const [file, parts] of byFile) await model.loadTensors(file, parts);
}

/** The type of most of the numbers. */
export function storedType(tensors: ReadonlyMap<string, FoundTensor>): TensorType {
  const bytes = { F32: 0, BF16: 0, F16: 0 };
  for (const { place } of tensors.values()) bytes[place.type] += place.end - place.begin;
  return (Object.keys(bytes) as TensorType[]).reduce((most, type) => (bytes[type] > bytes[most] ? type : most));
}

/** Writes all weights into `dir`: one file, or shards of at most `maxShardBytes` of data with their index. The names of the files written. */
export async function saveWeights(model: NativeModel, dir: string, type: TensorType, maxShardBytes: number): Promise<string[]> {
  const tensors = model.parameters().map(({ name, shape }) => ({ name, shape, type, slot: "value" as const }));
  const shards = cutIntoShards(tensors, maxShardBytes);
  if (shards.length === 1) {
    await model.saveTensors(join(dir, SINGLE_FILE), makeTensorHeader(tensors), tensors);
    return [SINGLE_FILE];
  }
  const number = (i: number) => String(i).padStart(5, "0");
  const names = shards.map((_, i) => `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`);
  for (const [i, shard] of shards.entries()) await model.saveTensors(join(dir, names[i]), makeTensorHeader(shard), shard);
  const weightMap = Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]])));
  const totalSize = tensors.reduce((sum, { shape }) => sum + tensorBytes(type, shape), 0);
  await writeFile(join(dir, INDEX_FILE), `${JSON.stringify({ metadata: { total_size: totalSize }, weight_map: weightMap }, null, 2)}\n`);
  return [...names, INDEX_FILE];
}

/** Whether a file of a model's directory holds weights, by its name. */
export function isWeightFile(name: string): boolean {
  return /^model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/.test(name);
}

/** Writes both moments of every weight in the type that the model keeps them in, with the step count in the metadata. */
export async function saveOptimizerFile(model: NativeModel, file: string, moments: "float32" | "bfloat16"): Promise<void> {
  const tensors = optimizerTensors(model, moments === "bfloat16" ? "BF16" : "F32");
  const header = makeTensorHeader(
    tensors.map(({ key, shape, type }) => ({ name: key, shape, type })),
    { step: String(await model.stepCount()), moments },
  );
  await model.saveTensors(file, header, tensors);
}

export async function loadOptimizerFile(model: NativeModel, file: string): Promise<void> {
  const { tensors, metadata } = readTensorFile(file);
  const step = Number(metadata.step);
  if (!Number.isSafeInteger(step) || step < 0) throw new PrimekitError("ERR_MODEL_FORMAT", `The optimizer file ${file} has no valid step count.`);
  const parts = optimizerTensors(model, "F32").map(({ key, shape, ...part }) => {
    const place = tensors.get(key);
    if (!place) throw new PrimekitError("ERR_MODEL_FORMAT", `The optimizer file ${file} lacks "${key}".`);
    checkShape(file, key, place.shape, shape);
    return { ...part, type: place.type, begin: place.begin };
  });
  await model.loadTensors(file, parts);
  await model.setStepCount(step);
}

// --- internal ---

function optimizerTensors(model: NativeModel, type: TensorType): (NativeTensorPart & { key: string; shape: number[] })[] {
  const slots: NativeSlot[] = ["firstMoment", "secondMoment"];
  return slots.flatMap((slot) => model.parameters().map(({ name, shape }) => ({ key: `${slot}.${name}`, name, shape, slot, type })));
}

const SINGLE_FILE = "model.safetensors";
const INDEX_FILE = "model.safetensors.index.json";

/** Tensor name -> shard, from the index file. */
async function readIndex(dir: string): Promise<Map<string, string>> {
  if (!existsSync(join(dir, INDEX_FILE))) throw new PrimekitError("ERR_IO", `The directory ${dir} holds neither ${SINGLE_FILE} nor ${INDEX_FILE}.`);
  const { weight_map: map } = await readModelJson(dir, INDEX_FILE);
  if (typeof map !== "object" || map === null || Array.isArray(map)) throw formatError(dir, `has no weight_map in ${INDEX_FILE}`);
  const entries = Object.entries(map);
  const wrong = entries.find(([, shard]) => typeof shard !== "string");
  if (wrong) throw formatError(dir, `lists no file for the tensor ${quote(wrong[0])} in ${INDEX_FILE}`);
  return new Map(entries as [string, string][]);
}

/** Consecutive runs of at most `limit` bytes each; a tensor larger than that has a file of its own. */
function cutIntoShards<T extends { type: TensorType; shape: readonly number[] }>(tensors: readonly T[], limit: number): T[][] {
  const shards: T[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const size = tensorBytes(tensor.type, tensor.shape);
    if (bytes > 0 && bytes + size > limit) {
      shards.push([]);
      bytes = 0;
    }
    shards[shards.length - 1].push(tensor);
    bytes += size;
  }
  return shards;
}

function formatError(dir: string, problem: string): PrimekitError {
  return new PrimekitError("ERR_MODEL_FORMAT", `The model in ${dir} ${problem}.`);
}

function quote(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
}

function checkShape(where: string, name: string, got: readonly number[], expected: readonly number[]): void {
  if (got.length !== expected.length || got.some((size, i) => size !== expected[i])) {
    throw new PrimekitError("ERR_MODEL_FORMAT", `The tensor ${quote(name)} in ${where} has shape [${got}], but the configuration needs [${expected}].`);
  }
}
