// --config F: a file of options in TypeScript, JavaScript, JSON, JSONC, JSON5, YAML or TOML, read by c12.
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { loadConfig } from "c12";
import { PrimekitError } from "../errors.ts";
import type { Options } from "./flags.ts";

/** The options in a configuration file. Throws ERR_CONFIG when it is missing, cannot be read, or holds no object. */
export async function readConfigFile(file: string): Promise<Options> {
  const path = resolve(file);
  if (!existsSync(path)) throw new PrimekitError("ERR_CONFIG", `The configuration file ${path} does not exist.`);
  const config = await load(path);
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new PrimekitError("ERR_CONFIG", `The configuration file ${path} must hold an object of options.`);
  }
  return config as Options;
}

// --- internal ---

async function load(path: string): Promise<unknown> {
  try {
    // Everything c12 would look up around the file stays off: a run depends on this one file.
    const options = { rcFile: false, globalRc: false, dotenv: false, packageJson: false, extend: false, envName: false } as const;
    const { config } = await loadConfig({ cwd: dirname(path), configFile: path, ...options });
    return config;
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0];
    throw new PrimekitError("ERR_CONFIG", `The configuration file ${path} cannot be read: ${reason}`, { cause });
  }
}
