// What the hub's refusals mean, in sentences that say what to do.
import { PrimekitError } from "../errors.ts";
import { type HubSettings, type RepoType, tokenFile } from "./settings.ts";

export interface Repo {
  type: RepoType;
  name: string;
}

/** A refusal that trying again does not help against. `file` where one was asked for. */
export function refusal(response: Response, repo: Repo, settings: HubSettings, file?: string): PrimekitError {
  const { status } = response;
  const reason = response.headers.get("x-error-code") ?? "";
  const what = `the ${repo.type} ${repo.name}`;
  const page = `${settings.endpoint}/${repo.type === "dataset" ? "datasets/" : ""}${repo.name}`;
  if (status === 401 || status === 403) return new PrimekitError("ERR_HUB_ACCESS", accessSentence(status, reason, what, page, settings));
  if (status === 404 && reason === "RevisionNotFound") {
    return new PrimekitError(
      "ERR_HUB_NOT_FOUND",
      `The ${repo.type} ${repo.name} on ${settings.endpoint} has no revision ${JSON.stringify(settings.revision)}.`,
    );
  }
  if (status === 404 && file !== undefined) {
    return new PrimekitError("ERR_HUB_NOT_FOUND", `The ${repo.type} ${repo.name} on ${settings.endpoint} has no file ${file} (revision ${settings.revision}).`);
  }
  if (status === 404) return new PrimekitError("ERR_HUB_NOT_FOUND", `There is no ${repo.type} ${repo.name} on ${settings.endpoint}.`);
  return new PrimekitError("ERR_HUB", `The hub refused ${file ? `${file} of ` : ""}${what}: status ${status} for ${response.url}.`);
}

/** The hub is there but cannot serve now; said once trying again was given up. */
export function outage(status: number, url: string, tries: number): PrimekitError {
  if (status === 429)
    return new PrimekitError("ERR_HUB_UNAVAILABLE", `The hub asks to wait (status 429, too many requests) for ${url}; given up after ${tries} tries.`);
  return new PrimekitError("ERR_HUB_UNAVAILABLE", `The hub is failing: status ${status} for ${url}, ${tries} times in a row.`);
}

/** No answer at all, or one that broke off. */
export function unreachable(url: string, tries: number, cause: unknown): PrimekitError {
  const reason = cause instanceof Error ? (cause.cause instanceof Error ? cause.cause.message : cause.message) : String(cause);
  const text = `The hub at ${new URL(url).origin} cannot be reached (${tries} tries; the last: ${reason.replace(/\.$/, "")}).`;
  return new PrimekitError("ERR_HUB_UNAVAILABLE", text, { cause });
}

// --- internal ---

function accessSentence(status: number, reason: string, what: string, page: string, { endpoint, token }: HubSettings): string {
  const where = `set HF_TOKEN or write a token to ${tokenFile()}; tokens are made at ${endpoint}/settings/tokens`;
  if (reason === "GatedRepo") {
    const terms = `${upper(what)} is gated (status ${status}): accept its terms at ${page}`;
    return token ? `${terms} with the account that the token in use belongs to.` : `${terms}, then ${where}.`;
  }
  if (token) return `The hub refused access to ${what} (status ${status}): the token in use is invalid or has no right to it, or there is no such thing.`;
  return `The hub refused access to ${what} (status ${status}): it does not exist, or it is private. Check the name; for a private one ${where}.`;
}

function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
