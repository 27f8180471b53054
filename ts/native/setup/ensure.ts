// The set-up step, shared by scripts/ensure.ts and the addon's loader: a few milliseconds when there is nothing to do.
// Only built-in modules are imported from here on down, as it runs before any package is installed.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { addonIsCurrent, buildAddon } from "./build.ts";
import { withLock } from "./lock.ts";
import { installPackages, packagesAreInstalled } from "./packages.ts";

/** The source tree this file belongs to, or undefined when there is none around it (a packaged copy). */
export function sourceRoot(): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let up = 0; up < 8; up++, folder = dirname(folder)) {
    if (existsSync(join(folder, "CMakeLists.txt")) && existsSync(join(folder, "package.json"))) return folder;
  }
  return undefined;
}

/** PRIMEKIT_SETUP=off (set for child processes once it is done) turns the set-up off. */
export function setupIsOff(): boolean {
  return process.env.PRIMEKIT_SETUP === "off" || Boolean(process.env.PRIMEKIT_ADDON);
}

/** npm packages, system packages, native build: whatever is missing or out of date. Throws ERR_ADDON_BUILD. */
export function ensureAll(root: string, say: (line: string) => void): void {
  if (packagesAreInstalled(root) && addonIsCurrent(root)) return;
  withLock(join(root, ".tmp", "setup.lock"), say, () => {
    if (!packagesAreInstalled(root)) installPackages(root, say);
    if (!addonIsCurrent(root)) buildAddon(root, say);
  });
}

/** The native build alone, for programs that were started past scripts/ensure.ts. Throws ERR_ADDON_BUILD. */
export function ensureAddon(root: string, say: (line: string) => void): void {
  if (addonIsCurrent(root)) return;
  withLock(join(root, ".tmp", "setup.lock"), say, () => {
    if (!addonIsCurrent(root)) buildAddon(root, say);
  });
}
