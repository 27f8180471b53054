// Programs and libraries of the system that the native build needs; installs the missing ones by apt where it may.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { PrimekitError } from "../../errors.ts";
import { findProgram, hasOneDnn } from "./build_key.ts";

interface Need {
  package: string; // of Debian and Ubuntu
  present: () => boolean;
  required: () => boolean;
}

const NEEDS: Need[] = [
  { package: "cmake", present: () => findProgram("cmake") !== undefined, required: () => !gypIsPossible() },
  { package: "g++", present: () => findProgram(process.env.CXX || "c++") !== undefined, required: () => true },
  { package: "ninja-build", present: () => findProgram("ninja") !== undefined || findProgram("make") !== undefined, required: () => true },
  // Without oneDNN a portable fallback computes the matrix products, several times slower.
  { package: "libdnnl-dev", present: () => hasOneDnn() || process.env.PRIMEKIT_ONEDNN === "OFF", required: () => false },
];

/** Makes the build's tools available, or throws ERR_ADDON_BUILD with the one line to run. */
export function ensureSystemPackages(say: (line: string) => void): void {
  const missing = NEEDS.filter((need) => !need.present());
  if (missing.length === 0) return;
  const prefix = aptPrefix();
  if (prefix !== undefined) {
    installByApt(
      missing.map((need) => need.package),
      prefix,
      say,
    );
    if (missing.every((need) => need.present())) return;
  }
  const left = missing.filter((need) => !need.present());
  const line = installLine(left);
  if (left.some((need) => need.required())) {
    throw new PrimekitError(
      "ERR_ADDON_BUILD",
      `The native build needs ${left.map((need) => need.package).join(", ")}, which may not be installed from here. Run this, then try again: ${line}`,
    );
  }
  if (left.some((need) => need.package === "cmake")) say("CMake is missing, so node-gyp builds the addon, without CUDA");
  if (!left.some((need) => need.package === "libdnnl-dev")) return;
  say(`oneDNN is missing, so matrix products will be several times slower. To have it: ${line}`);
}

/** Installs Debian packages by apt where that is allowed; what could not be installed is for the caller to notice. */
export function installIfAllowed(packages: readonly string[], say: (line: string) => void): void {
  const prefix = aptPrefix();
  if (prefix !== undefined) installByApt(packages, prefix, say);
}

// --- internal ---

/** What to put before apt-get ([] as root, sudo where it asks for no password); undefined where nothing may be installed. */
function aptPrefix(): string[] | undefined {
  if (!findProgram("apt-get")) return undefined;
  if (process.getuid?.() === 0) return [];
  const sudo = findProgram("sudo") && spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0;
  return sudo ? ["sudo", "-n"] : undefined;
}

function gypIsPossible(): boolean {
  return ["make", "python3"].every((program) => findProgram(program) !== undefined);
}

function installByApt(all: readonly string[], prefix: string[], say: (line: string) => void): void {
  const apt = (args: string[]): boolean => {
    const [program, ...rest] = [...prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", ...args];
    return spawnSync(program, rest, { stdio: ["ignore", "ignore", "pipe"] }).status === 0;
  };
  const install = (packages: readonly string[]) => apt(["install", "-y", "-q", "--no-install-recommends", ...packages]);
  say(`installing system packages: ${all.join(" ")}`);
  const listsAreEmpty = !existsSync("/var/lib/apt/lists") || !readdirSync("/var/lib/apt/lists").some((name) => name.includes("_Packages"));
  if (!listsAreEmpty && install(all)) return;
  apt(["update", "-q"]);
  if (install(all)) return;
  // One package that this release does not have must not keep the others away.
  for (const name of all) install([name]);
}

function installLine(needs: Need[]): string {
  const packages = needs.map((need) => need.package);
  if (findProgram("apt-get") || process.platform === "linux") return `sudo apt-get update && sudo apt-get install -y ${packages.join(" ")}`;
  const brew: Record<string, string> = { "libdnnl-dev": "onednn", "ninja-build": "ninja" };
  return `brew install ${packages.map((name) => brew[name] ?? name).join(" ")} libomp`;
}
