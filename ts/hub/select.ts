// Which files of a repository are wanted: for a model what Model and Tokenizer read, for a dataset its data.
import { PrimekitError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";

/** Beside the weights; all lie at the top of a model's repository. */
const MODEL_FILES = new Set([
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
]);
export const WEIGHTS = "model.safetensors";
export const WEIGHTS_INDEX = "model.safetensors.index.json";

const DATA = /\.(parquet|(jsonl|ndjson|json|csv|tsv)(\.gz)?)$/;
/** JSON that describes a dataset and is no data. */
const DESCRIPTIONS = /^(dataset_infos?|dataset_dict|state|config|package)\.json$/;

/** A model's small files and either its one file of weights or the index of its shards. Throws ERR_HUB_NOT_FOUND when it has none. */
export function modelFiles(paths: readonly string[], name: string): string[] {
  if (!paths.includes("config.json")) throw new PrimekitError("ERR_HUB_NOT_FOUND", `The model ${name} has no config.json: it cannot be loaded from the hub.`);
  const weights = [WEIGHTS, WEIGHTS_INDEX].find((path) => paths.includes(path));
  if (weights === undefined) {
    const others = paths.filter((path) => /\.(bin|pt|pth|gguf|safetensors|h5|msgpack|onnx)$/.test(path)).slice(0, 3);
    const has = others.length > 0 ? ` (it has ${others.join(", ")})` : "";
    throw new PrimekitError("ERR_HUB_NOT_FOUND", `The model ${name} has neither ${WEIGHTS} nor ${WEIGHTS_INDEX}${has}; only safetensors are read.`);
  }
  return [...paths.filter((path) => MODEL_FILES.has(path)), weights];
}

/** The shards that an index names, each once. Throws ERR_MODEL_FORMAT for an index that is none. */
export function shardsOf(index: string, name: string): string[] {
  const map = parseMap(index);
  if (map && Object.values(map).every((path) => typeof path === "string")) return [...new Set(Object.values(map) as string[])].sort();
  throw new PrimekitError("ERR_MODEL_FORMAT", `The ${WEIGHTS_INDEX} of ${name} holds no weight_map from tensors to files.`);
}

/** Whether a file holds rows, by its name. */
export function isData(path: string): boolean {
  return DATA.test(path) && !DESCRIPTIONS.test(path.slice(path.lastIndexOf("/") + 1)) && !path.startsWith(".");
}

/** A dataset's data files. Throws ERR_HUB_NOT_FOUND when it has none that can be read. */
export function dataFiles(paths: readonly string[], name: string): string[] {
  const found = paths.filter(isData);
  if (found.length > 0) return found;
  const advice = 'The hub keeps a Parquet copy of most datasets: try the revision "refs/convert/parquet".';
  throw new PrimekitError("ERR_HUB_NOT_FOUND", `The dataset ${name} has no Parquet, JSON, JSON lines or CSV files. ${advice}`);
}

/** The paths that match any of the patterns. Throws ERR_HUB_NOT_FOUND for a pattern that matches none. */
export function matching(paths: readonly string[], patterns: readonly string[], name: string): string[] {
  const chosen = new Set<string>();
  for (const pattern of patterns) {
    const found = matches(paths, pattern);
    if (found.length === 0) throw new PrimekitError("ERR_HUB_NOT_FOUND", `${name} has no file ${pattern}.${didYouMean(pattern, paths)}`);
    for (const path of found) chosen.add(path);
  }
  return [...chosen];
}

/** The paths that match a pattern: `*` stays in its folder, `**` does not. */
export function matches(paths: readonly string[], pattern: string): string[] {
  const expression = globToRegExp(pattern);
  return paths.filter((path) => expression.test(path));
}

// --- internal ---

function globToRegExp(pattern: string): RegExp {
  const source = pattern
    .split(/(\*\*\/?|\*)/)
    .map((part) => (part === "*" ? "[^/]*" : part.startsWith("**") ? ".*" : part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")));
  return new RegExp(`^${source.join("")}$`);
}

function parseMap(index: string): Record<string, unknown> | undefined {
  try {
    const { weight_map } = JSON.parse(index) as { weight_map?: Record<string, unknown> };
    return typeof weight_map === "object" && weight_map !== null ? weight_map : undefined;
  } catch {
    return undefined; // the caller says what is wrong
  }
}
