// Writing a model as a complete Hugging Face directory: everything is written beside and moved into place, so that what
// was there stays whole until the new model is.
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PrimekitError, rangeError } from "./errors.ts";
import { type ModelCard, makeModelCard } from "./model_card.ts";
import { type CompleteConfig, toHuggingFace } from "./model_config.ts";
import { isWeightFile, saveWeights } from "./model_files.ts";
import type { NativeModel } from "./native/types.ts";

export interface SaveOptions {
  /** Type of the stored weights. Default: that of the files the model came from, otherwise float32. */
  dtype?: "float32" | "bfloat16" | "float16";
  tokenizerDir?: string; // the tokenizer's files are copied from there
  maxShardBytes?: number; // default 5e9: above it the weights are split into several files
  card?: ModelCard; // written as README.md
}

/** What a loaded model came with and is saved with again. */
export interface ModelOrigin {
  config?: Record<string, unknown>; // config.json
  generation?: Record<string, unknown>; // generation_config.json
  dtype?: SaveOptions["dtype"];
}

/** Every file that a tokenizer may consist of. */
export const TOKENIZER_FILES: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "vocab.json",
  "merges.txt",
  "vocab.txt",
  "tokenizer.model",
];

/** Writes the directory. Throws ERR_IO naming what could not be written; then nothing in the directory has changed. */
export async function saveModel(model: NativeModel, config: CompleteConfig, origin: ModelOrigin, dir: string, options: SaveOptions): Promise<void> {
  const { dtype = origin.dtype ?? "float32", tokenizerDir, maxShardBytes = 5e9, card } = options;
  if (!Object.hasOwn(TYPES, dtype)) throw rangeError("dtype", '"float32", "bfloat16" or "float16"', dtype);
  if (!(typeof maxShardBytes === "number" && maxShardBytes >= 1)) throw rangeError("maxShardBytes", "a number of at least 1", maxShardBytes);
  model.parameters(); // a closed model writes nothing
  const tokenizerFiles = tokenizerDir === undefined ? [] : TOKENIZER_FILES.filter((name) => existsSync(join(tokenizerDir, name)));
  if (tokenizerDir !== undefined && tokenizerFiles.length === 0) throw new PrimekitError("ERR_IO", `The directory ${tokenizerDir} holds no tokenizer's files.`);
  await mkdir(dir, { recursive: true });
  const staging = await mkdtemp(join(dir, ".saving-"));
  try {
    const weights = await saveWeights(model, staging, TYPES[dtype], maxShardBytes);
    for (const name of tokenizerFiles) await copyFile(join(tokenizerDir as string, name), join(staging, name));
    await writeJson(join(staging, "generation_config.json"), origin.generation ?? generationConfig(config));
    await writeJson(join(staging, "config.json"), origin.config ? withOlderNames(origin.config, dtype) : toHuggingFace(config, dtype));
    if (card) await writeFile(join(staging, "README.md"), makeModelCard(card, config));
    for (const name of await readdir(staging)) await rename(join(staging, name), join(dir, name));
    const stale = (await readdir(dir)).filter((name) => isWeightFile(name) && !weights.includes(name));
    for (const name of stale) await rm(join(dir, name)); // or the next load would read the old weights
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

// --- internal ---

const TYPES = { float32: "F32", bfloat16: "BF16", float16: "F16" } as const;

function generationConfig({ bosTokenId, eosTokenId, eosTokenIds, padTokenId }: CompleteConfig): Record<string, unknown> {
  return { bos_token_id: bosTokenId, eos_token_id: eosTokenIds ?? eosTokenId, pad_token_id: padTokenId, do_sample: true };
}

/**
 * The configuration a model came with, with the type of its weights, and for programs that know only the older names (transformers 4, vLLM up to 0.23)
 * also torch_dtype, rope_theta and rope_scaling: what they do not find they replace by a default, in silence.
 */
function withOlderNames(config: Record<string, unknown>, dtype: string): Record<string, unknown> {
  const { rope_theta: theta, ...scaling } = (config.rope_parameters ?? {}) as Record<string, unknown>;
  const older: Record<string, unknown> = { torch_dtype: dtype };
  if (theta !== undefined) older.rope_theta = config.rope_theta ?? theta;
  if ((scaling.rope_type ?? "default") !== "default") older.rope_scaling = config.rope_scaling ?? scaling;
  return { ...config, ...("dtype" in config && { dtype }), ...older };
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(file, `${JSON.stringify(value, null, 2)}\n`);
}
