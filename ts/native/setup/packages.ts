// npm packages: installed from bun.lock when package.json or the lock changed since the last time.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PrimekitError } from "../../errors.ts";
import { findProgram } from "./build_key.ts";

const STAMP = join("node_modules", ".primekit-packages");

export function packagesAreInstalled(root: string): boolean {
  const stamp = join(root, STAMP);
  return existsSync(stamp) && readFileSync(stamp, "utf8") === packagesKey(root);
}

/** Installs the npm packages, or throws ERR_ADDON_BUILD with the reason and the line to run. */
export function installPackages(root: string, say: (line: string) => void): void {
  const [program, ...args] = bunInstall(root);
  say("installing npm packages");
  const result = spawnSync(program, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (result.status !== 0) {
    const reason = result.error?.message ?? lastLines(`${result.stdout}\n${result.stderr}`, 5);
    throw new PrimekitError("ERR_ADDON_BUILD", `The npm packages could not be installed (${reason}). Try it by hand: npx bun install --frozen-lockfile`);
  }
  writeFileSync(join(root, STAMP), packagesKey(root));
}

/** The last lines that have text, joined: what an error message needs of a program's output. */
export function lastLines(text: string, count: number): string {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.filter(Boolean).slice(-count).join("; ");
}

// --- internal ---

function packagesKey(root: string): string {
  const texts = ["package.json", "bun.lock"].map((name) => (existsSync(join(root, name)) ? readFileSync(join(root, name), "utf8") : ""));
  return createHash("sha256").update(JSON.stringify(texts)).digest("hex");
}

/** bun itself when it runs this, else the bun on PATH, else the one npx fetches: whichever way, bun.lock decides the versions. */
function bunInstall(root: string): string[] {
  const install = ["install", "--frozen-lockfile"];
  if (process.versions.bun) return [process.execPath, ...install];
  const bun = findProgram("bun");
  if (bun) return [bun, ...install];
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  if (findProgram("npx")) return ["npx", "--yes", `bun@${devDependencies.bun}`, ...install];
  return [process.execPath, "install", "--node-modules-dir=auto"]; // Deno alone: the pinned versions of package.json
}
