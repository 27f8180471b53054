// A PRM and its reference: two model directories, here or on the hub, that must read text alike.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PrimekitError } from "../errors.ts";
import { resolveDataset, resolveModel } from "../hub/resolve.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { createDownloadProgress } from "./hub_progress.ts";

/**
 * Throws ERR_TOKENIZER when the tokenizers of the two directories differ in what they make of text: vocabulary, merges, added tokens or normalisation.
 * A reference without a tokenizer of its own is taken to have the same.
 */
export async function sameTokenizer(tokenizer: Tokenizer, phi: string, ref: string): Promise<void> {
  const [a, b] = await Promise.all([readTokenizer(phi), readTokenizer(ref)]);
  if (b === undefined || a === b) return;
  const other = await Tokenizer.load(ref);
  const [x, y] = [a, b].map((text) => JSON.parse(text ?? "{}") as Record<string, unknown>);
  const differing = ["normalizer", "pre_tokenizer", "added_tokens", "model"].filter((part) => JSON.stringify(x[part]) !== JSON.stringify(y[part]));
  if (differing.length === 0 && other.eosId === tokenizer.eosId) return;
  const sizes = tokenizer.vocabSize === other.vocabSize ? "" : ` (${tokenizer.vocabSize} and ${other.vocabSize} tokens)`;
  const what = differing.length > 0 ? differing.join(", ") : "end-of-text token";
  throw new PrimekitError("ERR_TOKENIZER", `The tokenizers of ${phi} and ${ref} differ in ${what}${sizes}; a PRM and its reference must have the same one.`);
}

/** The folder (or file) of a model or of data, which may be named by its id on the hub (ORG/NAME); then it is downloaded into the cache, with progress. */
export async function locate(kind: "model" | "data", name: string): Promise<string> {
  const progress = createDownloadProgress(process.stderr);
  try {
    return await (kind === "model" ? resolveModel(name, progress) : resolveDataset(name, progress));
  } finally {
    progress.stop();
  }
}

// --- internal ---

async function readTokenizer(dir: string): Promise<string | undefined> {
  return readFile(join(dir, "tokenizer.json"), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined; // Tokenizer.load says it, where one is needed
    throw error;
  });
}
