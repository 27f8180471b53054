// The files of a tokenizer folder.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PrimekitError } from "../errors.ts";

/** The first two are required. */
export const TOKENIZER_FILES = {
  tokenizer: "tokenizer.json",
  config: "tokenizer_config.json",
  template: "chat_template.jinja",
  special: "special_tokens_map.json",
} as const;

const SENTENCEPIECE_ONLY =
  " It holds a tokenizer.model, which is not read; in Python, transformers.AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) writes the tokenizer.json.";

/** Parsed contents of tokenizer.json, and of tokenizer_config.json with what older and newer folders keep in files beside it. Throws ERR_TOKENIZER. */
export async function readTokenizerFolder(dir: string): Promise<{ json: unknown; config: unknown }> {
  const json = await readJson(join(dir, TOKENIZER_FILES.tokenizer), existsSync(join(dir, "tokenizer.model")) ? SENTENCEPIECE_ONLY : "");
  const config = await readJson(join(dir, TOKENIZER_FILES.config));
  const special = join(dir, TOKENIZER_FILES.special);
  const tokens = existsSync(special) ? await readJson(special) : {}; // older folders: special tokens
  const file = join(dir, TOKENIZER_FILES.template);
  const template = existsSync(file) ? { chat_template: await read(file) } : {}; // newer folders
  return { json, config: isObject(config) && isObject(tokens) ? { ...tokens, ...config, ...template } : config };
}

// --- internal ---

/** `hint` follows the sentence that says that there is no such file. */
async function readJson(file: string, hint = ""): Promise<unknown> {
  const text = await read(file, hint);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PrimekitError("ERR_TOKENIZER", `${file} is not valid JSON: ${(error as Error).message}.`, { cause: error });
  }
}

async function read(file: string, hint = ""): Promise<string> {
  return readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    const why = error.code === "ENOENT" ? `there is no such file.${hint}` : `${error.message}.`;
    throw new PrimekitError("ERR_TOKENIZER", `${file} could not be read: ${why}`, { cause: error });
  });
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
