// Finds, builds when it is missing or out of date, and loads the native addon: one file for Bun, Deno and Node.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { PrimekitError } from "../errors.ts";
import { addonFile } from "./setup/build.ts";
import { ensureAddon, setupIsOff, sourceRoot } from "./setup/ensure.ts";
import { shortenThreadWait } from "./thread_wait.ts";
import type { NativeAddon } from "./types.ts";

let loaded: { addon: NativeAddon; path: string } | undefined;

/** The addon and the file it came from; found, and if need be built, on first use. */
export function loadAddon(): { addon: NativeAddon; path: string } {
  if (loaded) return loaded;
  const path = findAddon();
  shortenThreadWait();
  try {
    loaded = { addon: createRequire(import.meta.url)(path) as NativeAddon, path };
  } catch (cause) {
    throw new PrimekitError("ERR_ADDON_NOT_FOUND", `The native addon ${path} could not be loaded: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  return loaded;
}

export function native(): NativeAddon {
  return loadAddon().addon;
}

// --- internal ---

/** PRIMEKIT_ADDON (a file), or the build of the source tree this file is part of. */
function findAddon(): string {
  const root = sourceRoot();
  const path = process.env.PRIMEKIT_ADDON || (root && addonFile(root));
  if (!path || !root) throw new PrimekitError("ERR_ADDON_NOT_FOUND", "The native addon was not found: set PRIMEKIT_ADDON to its file.");
  // The only words the library itself prints: a build takes a minute, which must not look like a hang.
  if (!setupIsOff()) ensureAddon(root, (line) => process.stderr.write(`primekit: ${line}\n`));
  if (!existsSync(path)) throw new PrimekitError("ERR_ADDON_NOT_FOUND", `The native addon was not found at ${path}. Build it with: npx bun run build`);
  return path;
}
