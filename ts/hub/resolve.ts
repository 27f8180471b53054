// A model or a dataset, named by a folder or by its id on the hub, as a folder on this disk.
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { listDatasets, listModels } from "@huggingface/hub";
import { PrimekitError, typeError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";
import { COMMIT, RepoCache, unlessMissing } from "./cache.ts";
import type { Repo } from "./failures.ts";
import { fetchFor } from "./http.ts";
import { dataFiles, isData, matches, matching, modelFiles, shardsOf, WEIGHTS, WEIGHTS_INDEX } from "./select.ts";
import { expandHome, type HubOptions, type HubSettings, hubSettings } from "./settings.ts";
import { downloadSnapshot } from "./snapshot.ts";

/**
 * The folder of a model: `idOrDir` itself where it is one, else the model ORG/NAME of the hub, downloaded into the cache unless it is there: safetensors
 * weights, configuration and tokenizer. Its files are links, as in every Hugging Face cache.
 * Throws ERR_HUB_NOT_FOUND, ERR_HUB_ACCESS (private, gated), ERR_HUB_OFFLINE, ERR_HUB_UNAVAILABLE, ERR_HUB_CHECKSUM, ERR_HUB, ERR_IO (disk), ERR_CONFIG,
 * and the signal's reason. What a failed or aborted download got is kept, and the next call goes on from there.
 */
export async function resolveModel(idOrDir: string, options: HubOptions = {}): Promise<string> {
  const local = await localPath(idOrDir, "model");
  return local ?? resolveRepo({ type: "model", name: idOrDir }, options, modelFiles, missingOfModel);
}

/**
 * The same for a dataset: its Parquet, JSON, JSON lines and CSV files, or those that `files` names. ORG/NAME/FOLDER is one folder of it, for datasets
 * that hold several sets. A single file on the disk is a dataset, too.
 */
export async function resolveDataset(idOrDir: string, options: HubOptions = {}): Promise<string> {
  const local = await localPath(idOrDir, "dataset");
  if (local !== undefined) return local;
  const [, name, folder] = ID_AND_FOLDER.exec(idOrDir) ?? [undefined, idOrDir, ""];
  const inFolder = (path: string) => folder === "" || path.startsWith(`${folder}/`);
  const choose = (paths: string[]) => dataFiles(paths.filter(inFolder), idOrDir);
  const missing: Missing = async (_dir, files) => (files.some((path) => inFolder(path) && isData(path)) ? undefined : "data files");
  return join(await resolveRepo({ type: "dataset", name }, options, choose, missing), folder);
}

// --- internal ---

/** What a snapshot in the cache lacks to be used; undefined = nothing. */
type Missing = (dir: string, files: readonly string[]) => Promise<string | undefined>;

const ID = /^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/;
const ID_AND_FOLDER = /^([\w-][\w.-]*\/[\w-][\w.-]*)\/((?:[\w-][\w.-]*\/)*[\w-]+)\/?$/;

async function localPath(idOrDir: string, type: Repo["type"]): Promise<string | undefined> {
  if (typeof idOrDir !== "string" || idOrDir.trim() === "") throw typeError(type, `a folder or the id of a ${type} on the hub (ORG/NAME)`, idOrDir);
  const path = expandHome(idOrDir);
  const found = await stat(path).catch(unlessMissing);
  if (found?.isDirectory() || (found && type === "dataset")) return path;
  if (!found && (ID.test(idOrDir) || (type === "dataset" && ID_AND_FOLDER.test(idOrDir)))) return undefined;
  const what = found ? "is a file, not a folder" : "does not exist";
  throw new PrimekitError("ERR_IO", `The ${type} ${idOrDir} ${what}; give a folder, or the id of a ${type} on the hub (ORG/NAME).`);
}

async function resolveRepo(repo: Repo, options: HubOptions, needed: (paths: string[], name: string) => string[], missing: Missing): Promise<string> {
  const settings = await hubSettings(options);
  const { files } = options;
  const choose = (paths: string[]) => (files ? matching(paths, files, `The ${repo.type} ${repo.name}`) : needed(paths, repo.name));
  const check: Missing = files ? missingOf(files) : missing;
  if (settings.offline) return cachedOrThrow(repo, settings, check);
  // A commit never changes; a model that is complete in the cache needs no look at the hub.
  if (COMMIT.test(settings.revision) && repo.type === "model" && !files) {
    const cached = await cachedSnapshot(repo, settings, check);
    if ("dir" in cached) return cached.dir;
  }
  try {
    return await downloadSnapshot(repo, settings, choose);
  } catch (error) {
    const { code } = error as PrimekitError;
    if (code === "ERR_HUB_UNAVAILABLE") return cachedInstead(repo, settings, check, error as PrimekitError);
    if (code === "ERR_HUB_NOT_FOUND" || code === "ERR_HUB_ACCESS") throw await withSuggestion(error as PrimekitError, repo, settings);
    throw error;
  }
}

/** The snapshot of the revision in the cache, or the sentence that says what it lacks. */
async function cachedSnapshot(repo: Repo, settings: HubSettings, missing: Missing): Promise<{ dir: string } | { lacks: string }> {
  const cache = new RepoCache(settings.cacheDir, repo);
  const commit = await cache.commitOf(settings.revision);
  const files = commit ? await cache.filesOf(commit) : [];
  if (!commit || files.length === 0) return { lacks: `${settings.cacheDir} has no copy of it (revision ${settings.revision})` };
  const lacks = await missing(cache.snapshot(commit), files);
  return lacks ? { lacks: `its copy in ${settings.cacheDir} lacks ${lacks}` } : { dir: cache.snapshot(commit) };
}

async function cachedOrThrow(repo: Repo, settings: HubSettings, missing: Missing): Promise<string> {
  const cached = await cachedSnapshot(repo, settings, missing);
  if ("dir" in cached) return cached.dir;
  const text = `The ${repo.type} ${repo.name} cannot be had offline (HF_HUB_OFFLINE): ${cached.lacks}. Download it once with a connection.`;
  throw new PrimekitError("ERR_HUB_OFFLINE", text);
}

async function cachedInstead(repo: Repo, settings: HubSettings, missing: Missing, cause: PrimekitError): Promise<string> {
  const cached = await cachedSnapshot(repo, settings, missing);
  if (!("dir" in cached)) throw /cannot be reached/.test(cause.message) ? new PrimekitError(cause.code, `${cause.message}${noFolder(repo)}`, { cause }) : cause;
  settings.onNote?.(`${cause.message} The copy of ${repo.name} in the cache is used, which may not be the latest.`);
  return cached.dir;
}

async function missingOfModel(dir: string, files: readonly string[]): Promise<string | undefined> {
  if (!files.includes("config.json")) return "config.json";
  if (files.includes(WEIGHTS)) return undefined;
  if (!files.includes(WEIGHTS_INDEX)) return WEIGHTS;
  return shardsOf(await readFile(join(dir, WEIGHTS_INDEX), "utf8"), dir).find((shard) => !files.includes(shard));
}

function missingOf(patterns: readonly string[]): Missing {
  return async (_dir, files) => patterns.find((pattern) => matches(files, pattern).length === 0);
}

/** The same error with the nearest name on the hub, where the whole repository was not found. Without a token the hub says "no access" for that, too. */
async function withSuggestion(error: PrimekitError, repo: Repo, settings: HubSettings): Promise<PrimekitError> {
  if (!/^There is no |it does not exist/.test(error.message)) return error;
  const name = repo.name.split("/").at(-1) as string;
  const quick = { ...settings, retryDelayMs: 0, timeoutMs: Math.min(settings.timeoutMs, 5000) };
  const search = { search: { query: name }, limit: 10, hubUrl: settings.endpoint, fetch: fetchFor(repo, quick) };
  const found: string[] = [];
  try {
    for await (const { name } of repo.type === "model" ? listModels(search) : listDatasets(search)) found.push(name);
  } catch {
    settings.signal?.throwIfAborted(); // a hub without a search has no suggestions
  }
  const same = found.find((id) => id.split("/").at(-1)?.toLowerCase() === name.toLowerCase());
  const suggestion = same ? ` Did you mean ${same}?` : didYouMean(repo.name, found);
  return new PrimekitError(error.code, `${error.message}${noFolder(repo)}${suggestion}`, { cause: error });
}

function noFolder(repo: Repo): string {
  return ` There is no folder ${repo.name} here, either.`;
}
