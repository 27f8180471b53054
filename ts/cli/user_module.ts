// TypeScript (or JavaScript) files of the user's own: a task, a verifier. They are programs, run as the user's own.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { PrimekitError } from "../errors.ts";

/** Whether an option names a file rather than something built in. */
export function isModulePath(name: string): boolean {
  return /\.[cm]?[jt]s$/.test(name);
}

/** The default export of a module. `what` names the option in errors ("task"). Throws ERR_CONFIG when there is no such file, no default export, or it cannot be loaded. */
export async function importDefault(path: string, what: string): Promise<unknown> {
  const file = resolve(path);
  if (!existsSync(file)) throw new PrimekitError("ERR_CONFIG", `The ${what} file ${file} does not exist.`);
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PrimekitError("ERR_CONFIG", `The ${what} file ${file} cannot be loaded: ${reason}`, { cause });
  }
  if (module.default === undefined) throw new PrimekitError("ERR_CONFIG", `The ${what} file ${file} has no default export.`);
  return module.default;
}
