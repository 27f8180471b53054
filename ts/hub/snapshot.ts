// A repository's commit and files, as the hub lists them, into the cache: everything is there and verified before the snapshot shows any of it.
import { readFile } from "node:fs/promises";
import { datasetInfo, listFiles, modelInfo } from "@huggingface/hub";
import { PrimekitError } from "../errors.ts";
import { COMMIT, cacheError, checkSpace, exists, RepoCache } from "./cache.ts";
import { downloadBlob, type RemoteFile } from "./download.ts";
import type { Repo } from "./failures.ts";
import { fetchFor } from "./http.ts";
import { shardsOf, WEIGHTS_INDEX } from "./select.ts";
import type { HubSettings } from "./settings.ts";

const PARALLEL = 4; // files at once

/** Downloads what `choose` picks of the paths in the repository (and the shards, where that is an index) and returns the snapshot's folder. */
export async function downloadSnapshot(repo: Repo, settings: HubSettings, choose: (paths: string[]) => string[]): Promise<string> {
  const cache = new RepoCache(settings.cacheDir, repo);
  const commit = await lookUpCommit(repo, settings);
  const listed = await listRepo(repo, commit, settings);
  const files = choose([...listed.keys()]).map((path) => listed.get(path) as RemoteFile);
  try {
    const progress = new Progress(settings);
    await downloadAll(files, commit, repo, cache, settings, progress);
    const index = files.find(({ path }) => path === WEIGHTS_INDEX);
    if (index && repo.type === "model") {
      const shards = shardsOf(await readFile(cache.blob(index.oid), "utf8"), repo.name).map((path) => listed.get(path) ?? missingShard(path, repo));
      await downloadAll(shards, commit, repo, cache, settings, progress);
      files.push(...shards);
    }
    for (const { path, oid } of files) await cache.link(commit, path, oid);
    await cache.setRef(settings.revision, commit);
  } catch (error) {
    throw cacheError(error, settings);
  }
  return cache.snapshot(commit);
}

// --- internal ---

/** Bytes of all files together. */
class Progress {
  readonly #done = new Map<string, number>();
  #sum = 0;
  #total = 0;
  readonly #report: HubSettings["onProgress"];

  constructor({ onProgress }: HubSettings) {
    this.#report = onProgress;
  }

  expect(files: readonly RemoteFile[]): void {
    for (const { size } of files) this.#total += size;
  }

  /** A file that is there already. */
  add({ path, size }: RemoteFile): void {
    this.#sum += size;
    this.#done.set(path, size);
  }

  update(file: string, done: number): void {
    this.#sum += done - (this.#done.get(file) ?? 0);
    this.#done.set(file, done);
    this.report(file);
  }

  report(file: string): void {
    this.#report?.({ done: this.#sum, total: this.#total, file });
  }
}

async function lookUpCommit(repo: Repo, settings: HubSettings): Promise<string> {
  const params = {
    name: repo.name,
    revision: settings.revision,
    hubUrl: settings.endpoint,
    fetch: fetchFor(repo, settings),
    additionalFields: ["sha" as const],
  };
  const { sha } = repo.type === "model" ? await modelInfo(params) : await datasetInfo(params);
  if (typeof sha === "string" && COMMIT.test(sha)) return sha;
  throw new PrimekitError("ERR_HUB", `${settings.endpoint} names no commit for the ${repo.type} ${repo.name}: it does not speak the hub's API.`);
}

/** All files of a commit by path. Names become paths on this disk and checksums file names, so both are checked. */
async function listRepo(repo: Repo, commit: string, settings: HubSettings): Promise<Map<string, RemoteFile>> {
  const files = new Map<string, RemoteFile>();
  for await (const { type, path, size, oid, lfs } of listFiles({
    repo,
    revision: commit,
    recursive: true,
    hubUrl: settings.endpoint,
    fetch: fetchFor(repo, settings),
  })) {
    if (type !== "file") continue;
    const sum = lfs?.oid ?? oid ?? "";
    const bytes = lfs?.size ?? size;
    const isSafe = !/[\\\0:]|^\/|(^|\/)\.\.?(\/|$)|\/\//.test(path);
    if (!isSafe) throw new PrimekitError("ERR_HUB", `The ${repo.type} ${repo.name} has a file named ${JSON.stringify(path)}, which is refused.`);
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(sum) || !Number.isSafeInteger(bytes)) {
      throw new PrimekitError("ERR_HUB", `The hub lists ${path} of ${repo.name} without a checksum or a size, so it could not be verified.`);
    }
    files.set(path, { path, size: bytes, oid: sum });
  }
  return files;
}

/** Downloads what is not there yet; the first failure stops the others. */
async function downloadAll(
  files: readonly RemoteFile[],
  commit: string,
  repo: Repo,
  cache: RepoCache,
  settings: HubSettings,
  progress: Progress,
): Promise<void> {
  progress.expect(files);
  const missing: RemoteFile[] = [];
  for (const file of files) {
    if (await exists(cache.blob(file.oid))) progress.add(file);
    else missing.push(file);
  }
  progress.report((missing[0] ?? files[0])?.path ?? "");
  await checkSpace(
    settings.cacheDir,
    missing.reduce((sum, { size }) => sum + size, 0),
  );
  const failed = new AbortController();
  const own = { ...settings, signal: settings.signal ? AbortSignal.any([settings.signal, failed.signal]) : failed.signal };
  const queue = [...missing];
  const work = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) {
      const { path, oid } = file;
      await downloadBlob(cache.blob(oid), file, commit, repo, own, (done) => progress.update(path, done));
    }
  };
  const workers = Array.from({ length: PARALLEL }, () =>
    work().catch((error) => {
      failed.abort(error); // a second failure finds it aborted: the first one counts
    }),
  );
  await Promise.all(workers);
  failed.signal.throwIfAborted();
}

function missingShard(path: string, repo: Repo): never {
  throw new PrimekitError("ERR_HUB_NOT_FOUND", `The ${WEIGHTS_INDEX} of ${repo.name} names ${path}, but there is no such file in the repository.`);
}
