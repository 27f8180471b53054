// A model's weights and optimizer state in safetensors files.
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { PrimekitError } from "./errors.ts";
import type { NativeModel, NativeSlot, NativeTensorPart } from "./native/types.ts";
import { makeTensorHeader, readTensorFile, type TensorPlace } from "./safetensors.ts";

/** Loads every weight of the model from a directory's model.safetensors, or its shards by index file. */
export async function loadWeightFiles(model: NativeModel, dir: string, tiedHead: boolean): Promise<void> {
  const found = new Map<string, { file: string; place: TensorPlace }>();
  for (const file of weightFiles(dir)) {
    for (const [name, place] of readTensorFile(file).tensors) found.set(name, { file, place });
  }
  if (tiedHead) found.delete("lm_head.weight"); // some exporters write the tied head a second time
  const byFile = new Map<string, (NativeTensorPart & { begin: number })[]>();
  for (const { name, shape } of model.parameters()) {
    const entry = found.get(name);
    if (!entry) throw new PrimekitError("ERR_MODEL_FORMAT", `The model in ${dir} lacks the tensor "${name}".`);
    checkShape(dir, name, entry.place.shape, shape);
    const parts = byFile.get(entry.file) ?? [];
    parts.push({ name, slot: "value", type: entry.place.type, begin: entry.place.begin });
    byFile.set(entry.file, parts);
    found.delete(name);
  }
  const extra = [...found.keys()].filter((name) => !name.endsWith("rotary_emb.inv_freq")); // a constant that old files carry
  if (extra.length > 0)
    throw new PrimekitError("ERR_MODEL_FORMAT", `The model in ${dir} has tensors its configuration does not know: ${extra.slice(0, 5).join(", ")}.`);
  for (const [file, parts] of byFile) await model.loadTensors(file, parts);
}

/** Writes all weights to one file. */
export async function saveWeightFile(model: NativeModel, file: string, dtype: "float32" | "bfloat16"): Promise<void> {
  const type = dtype === "float32" ? ("F32" as const) : ("BF16" as const);
  const tensors = model.parameters().map(({ name, shape }) => ({ name, shape, type, slot: "value" as const }));
  await model.saveTensors(file, makeTensorHeader(tensors), tensors);
}

/** Writes both moments of every weight, float32, with the step count in the metadata. */
export async function saveOptimizerFile(model: NativeModel, file: string): Promise<void> {
  const tensors = optimizerTensors(model);
  const header = makeTensorHeader(
    tensors.map(({ key, shape, type }) => ({ name: key, shape, type })),
    { step: String(await model.stepCount()) },
  );
  await model.saveTensors(file, header, tensors);
}

export async function loadOptimizerFile(model: NativeModel, file: string): Promise<void> {
  const { tensors, metadata } = readTensorFile(file);
  const step = Number(metadata.step);
  if (!Number.isSafeInteger(step) || step < 0) throw new PrimekitError("ERR_MODEL_FORMAT", `The optimizer file ${file} has no valid step count.`);
  const parts = optimizerTensors(model).map(({ key, shape, ...part }) => {
    const place = tensors.get(key);
    if (!place) throw new PrimekitError("ERR_MODEL_FORMAT", `The optimizer file ${file} lacks "${key}".`);
    checkShape(file, key, place.shape, shape);
    return { ...part, type: place.type, begin: place.begin };
  });
  await model.loadTensors(file, parts);
  await model.setStepCount(step);
}

// --- internal ---

function optimizerTensors(model: NativeModel): (NativeTensorPart & { key: string; shape: number[] })[] {
  const slots: NativeSlot[] = ["firstMoment", "secondMoment"];
  return slots.flatMap((slot) => model.parameters().map(({ name, shape }) => ({ key: `${slot}.${name}`, name, shape, slot, type: "F32" as const })));
}

function weightFiles(dir: string): string[] {
  const single = join(dir, "model.safetensors");
  if (existsSync(single)) return [single];
  const index = join(dir, "model.safetensors.index.json");
  if (!existsSync(index)) throw new PrimekitError("ERR_IO", `The directory ${dir} holds neither model.safetensors nor model.safetensors.index.json.`);
  const map = (JSON.parse(readFileSync(index, "utf8")) as { weight_map?: Record<string, string> }).weight_map ?? {};
  const names = [...new Set(Object.values(map))];
  const outside = names.find((name) => typeof name !== "string" || basename(name) !== name);
  if (outside !== undefined) throw new PrimekitError("ERR_MODEL_FORMAT", `The index ${index} names a file outside its directory: ${String(outside)}.`);
  return names.sort().map((name) => join(dir, name));
}

function checkShape(where: string, name: string, got: readonly number[], expected: readonly number[]): void {
  if (got.length !== expected.length || got.some((size, i) => size !== expected[i])) {
    throw new PrimekitError("ERR_MODEL_FORMAT", `The tensor "${name}" in ${where} has shape [${got}], but the configuration needs [${expected}].`);
  }
}
