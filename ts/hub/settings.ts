// Where the hub is, who asks, and where the cache lies: options first, then the environment variables that all Hugging Face tools share.
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { getHFHubCachePath, HUB_URL } from "@huggingface/hub";
import { PrimekitError } from "../errors.ts";

export type RepoType = "model" | "dataset";

export interface HubProgress {
  done: number; // bytes, of all files together; what was there already counts
  total: number;
  file: string; // the one that moved last
}

export interface HubOptions {
  /** Branch, tag or commit; default "main". */
  revision?: string;
  /** Patterns of the files wanted (`*` stays in its folder, `**` does not), instead of those that training needs. */
  files?: readonly string[];
  signal?: AbortSignal;
  onProgress?: (progress: HubProgress) => void;
  /** A sentence that a user should see: the hub could not be reached, so the copy in the cache is used; a retry. */
  onNote?: (sentence: string) => void;

  /** HF_ENDPOINT; default https://huggingface.co. */
  endpoint?: string;
  /** HF_TOKEN, or the file HF_TOKEN_PATH or HF_HOME/token; "" = none. */
  token?: string;
  /** HF_HUB_CACHE; default HF_HOME/hub. */
  cacheDir?: string;
  /** HF_HUB_OFFLINE: only what is in the cache. */
  offline?: boolean;
  /** HF_HUB_DOWNLOAD_TIMEOUT: a connection that is silent for so long counts as cut; default 30 s. */
  timeoutMs?: number;
  /** The first wait before a retry; it doubles up to 16 times this. Default 1 s. */
  retryDelayMs?: number;
}

/** HubOptions with nothing left open. */
export interface HubSettings extends Omit<HubOptions, "files"> {
  revision: string;
  endpoint: string;
  token: string;
  cacheDir: string;
  offline: boolean;
  timeoutMs: number;
  retryDelayMs: number;
}

/** Throws ERR_CONFIG for an endpoint that is no URL, ERR_IO for a token file that cannot be read. */
export async function hubSettings(options: HubOptions): Promise<HubSettings> {
  const { env } = process;
  const seconds = Number(env.HF_HUB_DOWNLOAD_TIMEOUT || 30);
  return {
    ...options,
    revision: options.revision || "main",
    endpoint: checkEndpoint(options.endpoint || env.HF_ENDPOINT || HUB_URL),
    token: options.token ?? (await findToken()),
    cacheDir: expandHome(options.cacheDir ?? getHFHubCachePath()),
    offline: options.offline ?? isTrue(env.HF_HUB_OFFLINE),
    timeoutMs: options.timeoutMs ?? 1000 * (seconds > 0 ? seconds : 30),
    retryDelayMs: options.retryDelayMs ?? 1000,
  };
}

/** The file a token is kept in by `hf auth login`. */
export function tokenFile(): string {
  const { env } = process;
  // the cache and the token lie side by side in HF_HOME, unless one of them is placed elsewhere
  const home = env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface");
  return expandHome(env.HF_TOKEN_PATH ?? join(home, "token"));
}

/** "~" as shells and the other Hugging Face tools read it. */
export function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}

// --- internal ---

async function findToken(): Promise<string> {
  const { env } = process;
  const given = env.HF_TOKEN ?? env.HUGGING_FACE_HUB_TOKEN;
  if (given !== undefined) return given.trim();
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return "";
  try {
    return (await readFile(tokenFile(), "utf8")).trim();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return ""; // nobody logged in here
    throw new PrimekitError("ERR_IO", `The token file ${tokenFile()} cannot be read (${code}) in ${dirname(tokenFile())}.`, { cause });
  }
}

function checkEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return endpoint.replace(/\/+$/, "");
  throw new PrimekitError("ERR_CONFIG", `The hub's address (HF_ENDPOINT) must be an http or https URL, but got ${JSON.stringify(endpoint)}.`);
}

function isTrue(value: string | undefined): boolean {
  return ["1", "on", "yes", "true"].includes(value?.toLowerCase() ?? "");
}
