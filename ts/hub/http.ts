// Requests to the hub: the token goes to the hub alone, redirects are followed by hand, and what may pass is tried again.
import { setTimeout as sleep } from "node:timers/promises";
import { PrimekitError } from "../errors.ts";
import { outage, type Repo, refusal, unreachable } from "./failures.ts";
import type { HubSettings } from "./settings.ts";

const TRIES = 6;
const LONGEST_BACKOFF = 16; // times the first wait
const LONGEST_WAIT_MS = 5 * 60_000; // a Retry-After above this is not waited for
const MAX_REDIRECTS = 8;

/**
 * A successful response (2xx, or 416: no such range) to a GET of `url`. Waits and tries again after 429 (as long as Retry-After says), 5xx and broken
 * connections; throws ERR_HUB_ACCESS, ERR_HUB_NOT_FOUND, ERR_HUB (any other refusal) or ERR_HUB_UNAVAILABLE, and the signal's reason.
 * @param file the file of the repo that is asked for, for messages
 */
export function request(url: string, init: RequestInit, repo: Repo, settings: HubSettings, file?: string): Promise<Response> {
  return tryAgain(() => follow(url, init, settings), url, repo, settings, file);
}

/** fetch() for @huggingface/hub, with everything that request() adds; a JSON text that breaks off counts as a broken connection. */
export function fetchFor(repo: Repo, settings: HubSettings): typeof fetch {
  const call = (input: string | URL | Request, init: RequestInit = {}) => {
    const url = input instanceof Request ? input.url : String(input);
    return tryAgain(async () => wholeJson(await follow(url, init, settings), url), url, repo, settings);
  };
  return call as typeof fetch;
}

/** Waits before try number `attempt` + 1; longer each time, and never quite as long as others that were cut off at the same moment. */
export async function backOff(attempt: number, settings: HubSettings): Promise<void> {
  const factor = Math.min(2 ** (attempt - 1), LONGEST_BACKOFF);
  await pause(settings.retryDelayMs * factor * (0.75 + Math.random() / 2), settings);
}

/** The wait that a response asks for: Retry-After in seconds or as a date, or the hub's RateLimit header. */
export function retryAfterMs(headers: Headers, now: number = Date.now()): number | undefined {
  const after = headers.get("retry-after");
  if (after !== null && /^\d+$/.test(after)) return 1000 * Number(after);
  if (after !== null && !Number.isNaN(Date.parse(after))) return Math.max(0, Date.parse(after) - now);
  const reset = /\bt=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  return reset === undefined ? undefined : 1000 * Number(reset);
}

/** Calls `work` with a signal that fires on the settings' signal, and when `alive` was not called for timeoutMs. */
export async function whileAlive<T>(settings: HubSettings, work: (signal: AbortSignal, alive: () => void) => Promise<T>): Promise<T> {
  const silence = new AbortController();
  const giveUp = () => silence.abort(new Error(`no data for ${settings.timeoutMs / 1000} s`));
  let timer = setTimeout(giveUp, settings.timeoutMs);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(giveUp, settings.timeoutMs);
  };
  try {
    return await work(settings.signal ? AbortSignal.any([settings.signal, silence.signal]) : silence.signal, alive);
  } finally {
    clearTimeout(timer);
  }
}

// --- internal ---

async function tryAgain(once: () => Promise<Response>, url: string, repo: Repo, settings: HubSettings, file?: string): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    settings.signal?.throwIfAborted();
    let response: Response;
    try {
      response = await once();
    } catch (error) {
      settings.signal?.throwIfAborted();
      if (error instanceof PrimekitError) throw error;
      if (attempt === TRIES) throw unreachable(url, attempt, error);
      await backOff(attempt, settings);
      continue;
    }
    if (response.ok || response.status === 416) return response;
    await response.body?.cancel();
    if (response.status !== 429 && response.status < 500) throw refusal(response, repo, settings, file);
    const asked = retryAfterMs(response.headers);
    if (attempt === TRIES || (asked ?? 0) > LONGEST_WAIT_MS) throw outage(response.status, url, attempt);
    if (asked === undefined) await backOff(attempt, settings);
    else await pause(asked, settings, `The hub asks to wait ${Math.ceil(asked / 1000)} s.`);
  }
}

/** The response with its body read to the end. Throws ERR_HUB when that is no JSON: a proxy's page, or no hub at all. */
async function wholeJson(response: Response, url: string): Promise<Response> {
  if (!response.ok) return response;
  const text = await response.text();
  try {
    JSON.parse(text);
  } catch (cause) {
    const began = JSON.stringify(text.slice(0, 40));
    throw new PrimekitError("ERR_HUB", `${url} answered with something that is no JSON (${began}…): is that a hub (HF_ENDPOINT), or the page of a proxy?`, {
      cause,
    });
  }
  return new Response(text, { status: response.status, headers: response.headers });
}

/** One try. Large files lie on another host: the hub's answer is a redirect, which must not carry the token along. */
async function follow(url: string, init: RequestInit, settings: HubSettings): Promise<Response> {
  let target = url;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const headers = new Headers(init.headers);
    headers.set("user-agent", "primekit");
    if (settings.token && new URL(target).origin === new URL(settings.endpoint).origin) headers.set("authorization", `Bearer ${settings.token}`);
    const here = target;
    const response = await whileAlive(settings, (signal) => fetch(here, { ...init, headers, redirect: "manual", signal: init.signal ?? signal }));
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    target = new URL(location, target).href;
  }
  throw new Error(`more than ${MAX_REDIRECTS} redirects`);
}

async function pause(ms: number, settings: HubSettings, note?: string): Promise<void> {
  if (note) settings.onNote?.(note);
  try {
    await sleep(ms, undefined, { signal: settings.signal });
  } catch (error) {
    settings.signal?.throwIfAborted();
    throw error;
  }
}
