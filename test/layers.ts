// Which folder may import which: the architecture, as a table. layers.test.ts holds the source tree to it.

/** Layer -> layers it may import (itself always). Everything imports downwards; the lists are written out so that a change shows. */
const BASE = ["errors", "native"];
const TYPESCRIPT: Record<string, readonly string[]> = {
  errors: [],
  native: ["errors"],
  kernels: BASE,
  model: BASE,
  // Beside the two above: these never load the addon.
  tokenizer: ["errors"],
  verifiers: ["errors"], // they see text only
  data: ["errors", "tokenizer", "verifiers"],
  run: ["errors"],
  hub: ["errors"],
  rollout: [...BASE, "kernels", "model", "tokenizer", "verifiers", "data", "run"],
  algo: [...BASE, "kernels", "model", "tokenizer", "verifiers", "data", "run", "rollout"],
  eval: [...BASE, "kernels", "model", "tokenizer", "verifiers", "data", "run", "rollout", "algo"],
  train: [...BASE, "kernels", "model", "tokenizer", "verifiers", "data", "run", "rollout", "algo", "eval"],
  cli: [...BASE, "kernels", "model", "tokenizer", "verifiers", "data", "run", "hub", "rollout", "algo", "eval", "train"],
  index: [...BASE, "kernels", "model", "tokenizer", "verifiers", "data", "run", "hub", "rollout", "algo", "eval", "train"],
  main: ["cli"],
  ensure: ["native"], // scripts/ensure.ts runs before any package is installed
  scripts: ["errors", "native", "model", "tokenizer", "verifiers", "data", "run"], // the other tools
};

/** Files in ts/ itself and the layer they belong to; "errors" holds what needs nothing at all. */
const ROOT_FILES: Record<string, string> = {
  errors: "errors",
  process_stamp: "errors",
  suggest: "errors",
  version: "errors",
  abort: "native",
  kernels: "kernels",
  model: "model", // and every model_*.ts
  safetensors: "model",
  index: "index",
};

const NATIVE: Record<string, readonly string[]> = {
  core: [],
  ops: ["core"],
  cpu: ["core", "ops"],
  cuda: ["core", "ops"],
  model: ["core", "ops"],
  dist: ["core"],
  include: [], // the C header: it stands alone
  capi: ["core", "ops", "cpu", "cuda", "include"],
  binding: ["core", "ops", "cpu", "cuda", "model", "dist"],
};

/** Sentences about every import that the tables do not allow. `files` are paths from the project's root with their text. */
export function findViolations(files: Readonly<Record<string, string>>): string[] {
  return Object.entries(files).flatMap(([path, text]) => (path.startsWith("native/") ? nativeViolations(path, text) : typescriptViolations(path, text)));
}

// --- internal ---

function typescriptViolations(path: string, text: string): string[] {
  const layer = layerOf(path);
  if (layer === undefined) return [`${path} belongs to no layer: add it to the table in test/layers.ts.`];
  const loud = layer !== "cli" && path.startsWith("ts/") ? /\bprocess\.exit\(|\bconsole\.\w+\(/.exec(text) : null;
  if (loud) return [`${path} must not call ${loud[0]}…): only ts/cli prints and exits.`];
  return importsOf(text).flatMap((target) => {
    const early = path === "scripts/ensure.ts" || path.startsWith("ts/native/setup/");
    if (early && !/^(\.|node:)/.test(target)) return [`${path} must not import ${target}: it runs before any package is installed.`];
    if (!target.startsWith(".")) return [];
    const resolved = resolvePath(path, target);
    const below = layerOf(resolved);
    if (below === undefined) return [`${path} imports ${resolved}, which belongs to no layer.`];
    if (below !== layer && !TYPESCRIPT[layer].includes(below)) return [`${path} (${layer}) must not import ${resolved} (${below}).`];
    if (layer === "train" && areDifferentTrainers(path, resolved)) return [`${path} must not import ${resolved}: trainers do not import each other.`];
    return [];
  });
}

function nativeViolations(path: string, text: string): string[] {
  const layer = path.split("/")[1];
  if (!(layer in NATIVE)) return [`${path} belongs to no layer: add it to the table in test/layers.ts.`];
  const includes = Array.from(text.matchAll(/^\s*#\s*include\s+["<]([^">]+)[">]/gm), (match) => match[1]);
  return includes.flatMap((target) => {
    const below = target.split("/")[0];
    if (/napi\.h$/.test(target) && layer !== "binding") return [`${path} must not include ${target}: only native/binding knows JavaScript.`];
    if (!target.includes("/") || !(below in NATIVE)) return []; // a library's header
    if (below !== layer && !NATIVE[layer].includes(below)) return [`${path} (${layer}) must not include ${target} (${below}).`];
    if (layer === "model" && below === "ops" && target !== "ops/backend.h") return [`${path} must not include ${target}: the model sees only ops/backend.h.`];
    return [];
  });
}

function layerOf(path: string): string | undefined {
  if (path === "train.ts") return "main";
  const [top, second, ...rest] = path.split("/");
  if (top === "scripts") return second === "ensure.ts" ? "ensure" : "scripts";
  if (top !== "ts" || second === undefined) return undefined;
  if (rest.length > 0) return second in TYPESCRIPT ? second : undefined;
  return second.startsWith("model_") ? "model" : ROOT_FILES[second.replace(/\.ts$/, "")];
}

function importsOf(text: string): string[] {
  const patterns = [/\bfrom\s+["']([^"']+)["']/g, /\bimport\s+["']([^"']+)["']/g, /\bimport\s*\(\s*["']([^"']+)["']/g, /\brequire\s*\(\s*["']([^"']+)["']/g];
  return patterns.flatMap((pattern) => Array.from(text.matchAll(pattern), (match) => match[1]));
}

function resolvePath(from: string, target: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const piece of target.split("/")) {
    if (piece === "..") parts.pop();
    else if (piece !== ".") parts.push(piece);
  }
  return parts.join("/");
}

/** sft*.ts and prime*.ts are trainers; config, events, metrics and the like are shared. */
function areDifferentTrainers(a: string, b: string): boolean {
  const trainer = (path: string) => /^ts\/train\/(sft|prime|prm)/.exec(path)?.[1];
  return trainer(a) !== undefined && trainer(b) !== undefined && trainer(a) !== trainer(b);
}
