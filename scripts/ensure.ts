// Runs before everything else (bunfig.toml preloads it): system packages, npm packages and the native build, where missing.
// On its own: bun scripts/ensure.ts (or deno run -A, or node from version 22 on).
import { ensureAll, setupIsOff, sourceRoot } from "../ts/native/setup/ensure.ts";

const root = sourceRoot();
if (root && !setupIsOff()) {
  try {
    ensureAll(root, (line) => process.stderr.write(`primekit: ${line}\n`));
    process.env.PRIMEKIT_SETUP = "off"; // for this process's children
  } catch (error) {
    process.stderr.write(`primekit: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
