// Finds and loads the native addon: one file, build/Release/addon.node, for Bun, Deno and Node.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PrimekitError } from "../errors.ts";
import type { NativeAddon } from "./types.ts";

const here = dirname(fileURLToPath(import.meta.url));

/** Folders that may hold the addon, best first: PRIMEKIT_ADDON (a file), the package's own build. */
export function addonCandidates(): string[] {
  const fromEnvironment = process.env.PRIMEKIT_ADDON;
  const roots = [join(here, "..", ".."), join(here, "..", "..", "..")]; // ts/native/ and dist/ts/native/
  return [...(fromEnvironment ? [fromEnvironment] : []), ...roots.map((root) => join(root, "build", "Release", "addon.node"))];
}

let loaded: { addon: NativeAddon; path: string } | undefined;

/** The addon and the file it came from; loads it on first use. */
export function loadAddon(): { addon: NativeAddon; path: string } {
  if (loaded) return loaded;
  const path = addonCandidates().find((candidate) => existsSync(candidate));
  if (!path) {
    throw new PrimekitError("ERR_ADDON_NOT_FOUND", `The native addon was not found (looked for ${addonCandidates().join(", ")}). Build it with: npx bun run build`);
  }
  loaded = { addon: createRequire(import.meta.url)(path) as NativeAddon, path };
  return loaded;
}

export function native(): NativeAddon {
  return loadAddon().addon;
}
