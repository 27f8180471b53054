// A model's directory: reading files that belong to it and no others.
import { existsSync, realpathSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { PrimekitError } from "./errors.ts";
import { parseJsonObject } from "./model_json.ts";

/**
 * The path of a file of the directory. A name with a path in it, or a link that leads out, is ERR_MODEL_FORMAT; the Hugging Face cache's links
 * from a snapshot to its own blobs are fine.
 */
export function fileInside(dir: string, name: string): string {
  if (name === "" || name === "." || name === ".." || basename(name) !== name || name.includes("\\") || name.includes("\0")) {
    throw new PrimekitError(
      "ERR_MODEL_FORMAT",
      `The model in ${dir} names the file ${JSON.stringify(name)}, which is not the plain name of a file in its directory.`,
    );
  }
  const file = join(dir, name);
  if (!existsSync(file)) return file; // whoever opens it says so
  const home = realpathSync(dir);
  const real = realpathSync(file);
  const blobs = basename(dirname(home)) === "snapshots" ? join(dirname(dirname(home)), "blobs") + sep : undefined;
  if (!real.startsWith(home + sep) && !(blobs && real.startsWith(blobs))) {
    throw new PrimekitError("ERR_MODEL_FORMAT", `The file ${file} is a link to ${real}, outside of the model's directory.`);
  }
  return file;
}

/** A JSON object from a file of the directory. Throws ERR_IO when it cannot be read, ERR_MODEL_FORMAT when it is not an object. */
export async function readModelJson(dir: string, name: string): Promise<Record<string, unknown>> {
  const file = fileInside(dir, name);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") throw new PrimekitError("ERR_IO", `${dir} is no model's directory: it has no ${name}.`, { cause });
    throw new PrimekitError("ERR_IO", `Could not read ${file}: ${(cause as Error).message}.`, { cause });
  }
  try {
    return parseJsonObject(text);
  } catch (cause) {
    throw new PrimekitError("ERR_MODEL_FORMAT", `The file ${file} is not a valid JSON object: ${(cause as Error).message}.`, { cause });
  }
}
