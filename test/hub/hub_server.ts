// A hub on this machine: the parts of the Hugging Face API that downloads use, a second server for large files, and faults on demand.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HubFile {
  path: string;
  bytes: Buffer;
  lfs: boolean;
  listedSize?: number; // where the listing lies
}

export interface HubRepo {
  type: "model" | "dataset";
  name: string;
  files: HubFile[];
  commit: string;
  revisions?: Record<string, string>; // name -> commit; default main
  access?: "public" | "gated" | "private";
}

/** What happens to the next `times` requests whose path contains `match`. */
export interface Fault {
  match: string;
  times: number;
  status?: number;
  headers?: Record<string, string>;
  cutAfter?: number; // bytes of the body, then the connection breaks
  shorten?: number; // bytes missing at the file's end, as if it were shorter
  corrupt?: boolean;
  ignoreRange?: boolean;
  hang?: boolean; // after the headers and 1000 bytes
}

export interface Seen {
  url: string;
  method: string;
  host: "hub" | "cdn";
  range: string | undefined;
  authorization: string | undefined;
  at: number; // ms
}

export const TOKEN = "hf_right";
const PAGE = 3; // entries in a page of a listing

export class HubServer {
  readonly repos: HubRepo[] = [];
  faults: Fault[] = [];
  seen: Seen[] = [];
  readonly #hub: Server;
  readonly #cdn: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#answer("hub", request, response));
    this.#cdn = createServer((request, response) => this.#answer("cdn", request, response));
  }

  static async start(): Promise<HubServer> {
    const server = new HubServer();
    for (const part of [server.#hub, server.#cdn]) await new Promise<void>((resolve) => part.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  stop(): void {
    for (const part of [this.#hub, this.#cdn]) {
      part.closeAllConnections();
      part.close();
    }
  }

  /** Requests for a file's content that reached the place it lies at. */
  downloads(path: string): Seen[] {
    const file = this.repos.flatMap(({ files }) => files).find((candidate) => candidate.path === path);
    return this.seen.filter(({ url, host }) => (file?.lfs ? host === "cdn" && url.endsWith(sha256(file.bytes)) : url.endsWith(`/${path}`)));
  }

  #answer(host: Seen["host"], request: IncomingMessage, response: ServerResponse): unknown {
    const url = decodeURIComponent(request.url ?? "");
    this.seen.push({
      url,
      method: request.method ?? "",
      host,
      range: request.headers.range,
      authorization: request.headers.authorization,
      at: performance.now(),
    });
    const fault = this.faults.find(({ match, times }) => times > 0 && url.includes(match));
    if (fault) fault.times--;
    if (fault?.status) return end(response, fault.status, { "content-type": "text/plain", ...fault.headers }, "a fault that was asked for");
    if (fault?.cutAfter !== undefined && url.startsWith("/api/")) {
      response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
      return response.write('[{"type":', () => setTimeout(() => response.destroy(), 20));
    }
    if (url.includes("short-name")) return end(response, 307, { location: request.url?.replace("short-name", "org/model") ?? "" }, "");
    if (host === "cdn") return this.#cdnFile(url, request, response, fault);
    const [path, query] = [url.split("?")[0], new URL(request.url ?? "", this.url).searchParams];
    const search = /^\/api\/(model|dataset)s$/.exec(path);
    if (search) return json(response, this.#search(search[1], query.get("search") ?? ""));
    const api = /^\/api\/(model|dataset)s\/(.+?)\/(revision|tree)\/(.+)$/.exec(path);
    if (api) return this.#api(api.slice(1) as [string, string, string, string], query, request, response);
    const resolve = /^\/(datasets\/)?(.+?)\/resolve\/([0-9a-f]{40})\/(.+)$/.exec(path);
    if (resolve) return this.#file(resolve[1] ? "dataset" : "model", resolve[2], resolve[4], request, response, fault);
    return end(response, 404, {}, "no such page");
  }

  #search(type: string, text: string): object[] {
    return this.repos.filter((repo) => repo.type === type && repo.name.toLowerCase().includes(text.toLowerCase())).map(describe);
  }

  #api([type, name, what, revision]: [string, string, string, string], query: URLSearchParams, request: IncomingMessage, response: ServerResponse): unknown {
    const repo = this.#find(type, name, request, response);
    if (!repo) return;
    const named = { main: repo.commit, ...repo.revisions };
    const known: Record<string, string> = { ...named, ...Object.fromEntries(Object.values(named).map((commit) => [commit, commit])) };
    if (!known[revision]) return end(response, 404, { "x-error-code": "RevisionNotFound" }, "no revision");
    if (what === "revision") return json(response, { ...describe(repo), sha: known[revision] });
    const from = Number(query.get("cursor") ?? 0);
    const entries = repo.files.map(({ path, bytes, lfs, listedSize }) => ({
      type: "file",
      path,
      size: listedSize ?? bytes.length,
      oid: lfs ? "0".repeat(40) : gitSha(bytes),
      ...(lfs ? { lfs: { oid: sha256(bytes), size: listedSize ?? bytes.length, pointerSize: 134 } } : {}),
    }));
    const folders = [...new Set(entries.flatMap(({ path }) => (path.includes("/") ? [path.split("/")[0]] : [])))];
    const all = [...folders.map((path) => ({ type: "directory", path, size: 0, oid: "0".repeat(40) })), ...entries];
    query.set("cursor", String(from + PAGE));
    const next = `${this.url}${request.url?.split("?")[0]}?${query}`;
    return json(response, all.slice(from, from + PAGE), from + PAGE < all.length ? { link: `<${next}>; rel="next"` } : {});
  }

  #file(type: string, name: string, path: string, request: IncomingMessage, response: ServerResponse, fault: Fault | undefined): unknown {
    const repo = this.#find(type, name, request, response);
    if (!repo) return;
    const file = repo.files.find((candidate) => candidate.path === path);
    if (!file) return end(response, 404, { "x-error-code": "EntryNotFound" }, "no file");
    if (!file.lfs) return sendFile(response, file.bytes, { etag: `"${gitSha(file.bytes)}"`, "x-repo-commit": repo.commit }, request.headers.range, fault);
    const port = (this.#cdn.address() as AddressInfo).port;
    const location = `http://localhost:${port}/blobs/${sha256(file.bytes)}`;
    const linked = { "x-linked-etag": `"${sha256(file.bytes)}"`, "x-linked-size": String(file.bytes.length), "x-repo-commit": repo.commit };
    return end(response, 302, { location, ...linked }, "");
  }

  #cdnFile(url: string, request: IncomingMessage, response: ServerResponse, fault: Fault | undefined): unknown {
    const file = this.repos.flatMap(({ files }) => files).find(({ bytes }) => url.endsWith(sha256(bytes)));
    if (!file) return end(response, 404, {}, "no blob");
    return sendFile(response, file.bytes, { etag: `"${sha256(file.bytes)}"` }, request.headers.range, fault);
  }

  #find(type: string, name: string, request: IncomingMessage, response: ServerResponse): HubRepo | undefined {
    const { authorization } = request.headers;
    const repo = this.repos.find((candidate) => candidate.type === type && candidate.name === name);
    const isKnown = authorization === `Bearer ${TOKEN}`;
    if (authorization !== undefined && !isKnown) end(response, 401, {}, "bad token");
    else if (!repo)
      end(response, isKnown ? 404 : 401, { "x-error-code": "RepoNotFound" }, "no repo"); // as the hub does: it does not say what is private
    else if (repo.access === "gated" && !isKnown) end(response, 401, { "x-error-code": "GatedRepo" }, "gated");
    else if (repo.access === "private" && !isKnown) end(response, 401, { "x-error-code": "RepoNotFound" }, "no repo");
    else return repo;
    return undefined;
  }
}

export const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
export const gitSha = (bytes: Buffer) => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

// --- internal ---

function describe({ name, commit }: HubRepo): object {
  return { _id: "1", id: name, sha: commit, private: false, gated: false, downloads: 0, likes: 0, lastModified: "2026-01-01T00:00:00.000Z" };
}

function sendFile(response: ServerResponse, bytes: Buffer, headers: Record<string, string>, range: string | undefined, fault: Fault | undefined): unknown {
  const whole = fault?.shorten ? bytes.subarray(0, bytes.length - fault.shorten) : fault?.corrupt ? Buffer.from(bytes).fill(0, 5, 10) : bytes;
  const start = range && !fault?.ignoreRange ? Number(/bytes=(\d+)-/.exec(range)?.[1]) : undefined;
  if (start !== undefined && start >= whole.length) return end(response, 416, { "content-range": `bytes */${whole.length}` }, "");
  const body = whole.subarray(start ?? 0);
  const partial = start === undefined ? {} : { "content-range": `bytes ${start}-${whole.length - 1}/${whole.length}` };
  response.writeHead(start === undefined ? 200 : 206, { ...headers, ...partial, "content-length": String(body.length) });
  if (fault?.hang) return response.write(body.subarray(0, 1000));
  if (fault?.cutAfter !== undefined) return response.write(body.subarray(0, fault.cutAfter), () => setTimeout(() => response.destroy(), 20));
  return response.end(body);
}

function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  end(response, 200, { "content-type": "application/json", ...headers }, JSON.stringify(value));
}

function end(response: ServerResponse, status: number, headers: Record<string, string>, body: string): void {
  response.writeHead(status, headers);
  response.end(body);
}
