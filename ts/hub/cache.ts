// The cache that all Hugging Face tools share: models--ORG--NAME/{blobs,refs,snapshots}. Blobs are named by their checksum; a snapshot links to them.
import { copyFile, lstat, mkdir, readdir, readFile, realpath, rename, rm, stat, statfs, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { getRepoFolderName } from "@huggingface/hub";
import { PrimekitError } from "../errors.ts";
import type { Repo } from "./failures.ts";
import type { HubSettings } from "./settings.ts";

export const COMMIT = /^[0-9a-f]{40}$/;

/** Paths of one repository in the cache. */
export class RepoCache {
  readonly dir: string;

  constructor(cacheDir: string, repo: Repo) {
    this.dir = join(cacheDir, getRepoFolderName(repo));
  }

  blob(oid: string): string {
    return join(this.dir, "blobs", oid);
  }

  snapshot(commit: string): string {
    return join(this.dir, "snapshots", commit);
  }

  /** The commit that a revision stood for when it was last looked up; undefined when it never was. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (COMMIT.test(revision)) return revision;
    const text = await readFile(join(this.dir, "refs", revision), "utf8").catch(unlessMissing);
    return text !== undefined && COMMIT.test(text.trim()) ? text.trim() : undefined;
  }

  async setRef(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(revision)) === commit) return;
    await replace(join(this.dir, "refs", revision), (beside) => writeFile(beside, commit));
  }

  /** Makes `path` of a snapshot point to a blob, unless it does (a cache may be read-only); a copy where the file system has no links. */
  async link(commit: string, path: string, oid: string): Promise<void> {
    const target = join(this.snapshot(commit), path);
    const [there, blob] = await Promise.all([target, this.blob(oid)].map((file) => realpath(file).catch(unlessMissing)));
    if (there !== undefined && there === blob) return;
    await replace(target, async (beside) => {
      try {
        await symlink(relative(dirname(target), this.blob(oid)), beside);
      } catch (error) {
        if (!["EPERM", "ENOTSUP", "ENOSYS"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
        await copyFile(this.blob(oid), beside);
      }
    });
  }

  /** Files of a snapshot, as paths with "/"; none when there is no snapshot. A link to nothing does not count. */
  async filesOf(commit: string): Promise<string[]> {
    const root = this.snapshot(commit);
    const names = (await readdir(root, { recursive: true }).catch(unlessMissing)) ?? [];
    const found = await Promise.all(names.map(async (name) => ((await stat(join(root, name)).catch(unlessMissing))?.isFile() ? [name] : [])));
    return found.flat().map((name) => name.replaceAll("\\", "/"));
  }
}

/** Whether something, or a link to something, has this name. */
export async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(unlessMissing)) !== undefined;
}

/** undefined for "there is no such file"; throws anything else. */
export function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
  throw error;
}

/** ERR_IO with one sentence for what the file system refuses; the rest passes through. */
export function cacheError(error: unknown, settings: HubSettings): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof PrimekitError || typeof code !== "string" || syscall === undefined) return error;
  const reasons: Record<string, string> = { ENOSPC: "the disk is full", EDQUOT: "the disk quota is used up", EACCES: "permission was denied" };
  const advice = "HF_HOME or HF_HUB_CACHE can place it elsewhere";
  const reason = reasons[code] ?? (error as Error).message.replace(/\.$/, "");
  return new PrimekitError("ERR_IO", `The cache ${settings.cacheDir} cannot be written: ${reason}. What was downloaded so far is kept; ${advice}.`, {
    cause: error,
  });
}

/** Throws ERR_IO when so many bytes do not fit, before hours are spent on them. */
export async function checkSpace(cacheDir: string, bytes: number): Promise<void> {
  if (bytes === 0) return;
  await mkdir(cacheDir, { recursive: true });
  const { bavail, bsize } = await statfs(cacheDir);
  const free = Number(bavail) * Number(bsize);
  if (bytes <= free) return;
  const gigabytes = (n: number) => `${(n / 1e9).toFixed(1)} GB`;
  const advice = "Make room, or set HF_HOME or HF_HUB_CACHE to another disk.";
  throw new PrimekitError("ERR_IO", `The download needs ${gigabytes(bytes)}, but ${cacheDir} has ${gigabytes(free)} free. ${advice}`);
}

// --- internal ---

let counter = 0;

/** Makes something beside its place and moves it there: readers see the old or the new. */
async function replace(path: string, make: (beside: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const beside = join(dirname(path), `.tmp-${process.pid}-${counter++}`);
  try {
    await make(beside);
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
