// manifest.json: the mark of a complete checkpoint. It lists every file with size and SHA-256 and is written last.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { checksum, flush, writeFileAtomic } from "./io.ts";

export const MANIFEST = "manifest.json";

export interface Manifest {
  format: 1;
  step: number;
  files: Record<string, { size: number; sha256: string }>; // by path inside the checkpoint, "/" between folders
}

/** Flushes every file below `dir` to the disk and writes the manifest that names them all. */
export async function writeManifest(dir: string, step: number): Promise<void> {
  const manifest: Manifest = { format: 1, step, files: {} };
  const { files, folders } = await listTree(dir);
  for (const file of files.filter((name) => name !== MANIFEST)) {
    await flush(join(dir, file));
    manifest.files[file] = await checksum(join(dir, file));
  }
  for (const folder of folders) await flush(join(dir, folder));
  await writeFileAtomic(join(dir, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Undefined when the checkpoint is complete and unchanged, else what is wrong with it ("policy/model.safetensors has …"). */
export async function findDamage(dir: string): Promise<string | undefined> {
  const text = await readFile(join(dir, MANIFEST), "utf8").catch(() => undefined);
  if (text === undefined) return `${MANIFEST} is missing, so it was not written to the end`;
  const manifest = parseManifest(text);
  if (!manifest) return `${MANIFEST} is not a manifest`;
  // Sizes first: they are free and catch what a full disk or a cut-off copy does.
  for (const [file, expected] of Object.entries(manifest.files)) {
    const size = await stat(join(dir, file)).then(
      (s) => s.size,
      () => undefined,
    );
    if (size === undefined) return `${file} is missing`;
    if (size !== expected.size) return `${file} has ${size} bytes instead of ${expected.size}`;
  }
  for (const [file, expected] of Object.entries(manifest.files)) {
    const { sha256 } = await checksum(join(dir, file));
    if (sha256 !== expected.sha256) return `${file} does not match its checksum`;
  }
  return undefined;
}

// --- internal ---

function parseManifest(text: string): Manifest | undefined {
  try {
    const value = JSON.parse(text) as Manifest;
    const ok = value?.format === 1 && typeof value.files === "object" && value.files !== null;
    return ok ? value : undefined;
  } catch {
    return undefined; // not JSON: the caller reports it as damage
  }
}

async function listTree(dir: string): Promise<{ files: string[]; folders: string[] }> {
  const files: string[] = [];
  const folders: string[] = [""];
  for (let i = 0; i < folders.length; i++) {
    for (const entry of await readdir(join(dir, folders[i]), { withFileTypes: true })) {
      const path = folders[i] ? `${folders[i]}/${entry.name}` : entry.name;
      (entry.isDirectory() ? folders : files).push(path);
    }
  }
  return { files: files.sort(), folders: folders.reverse() }; // inner folders before outer ones
}
