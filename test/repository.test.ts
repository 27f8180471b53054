// The project's files as a newcomer gets them.
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { VERSION } from "../ts/version.ts";

const ROOT = resolve(import.meta.dir, "..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

describe("the repository", () => {
  test("states one version", () => {
    expect(JSON.parse(read("package.json")).version).toBe(VERSION);
  });

  test("pins every package, and its lock file names no server", () => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read("package.json"));
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies }))
      expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
    expect(read("bun.lock")).not.toContain("://");
  });

  const git = Bun.spawnSync(["git", "ls-files", "-z"], { cwd: ROOT });
  if (git.exitCode !== 0) console.log("skipped: this is no git checkout");
  test.skipIf(git.exitCode !== 0)("holds no large files", () => {
    const files = git.stdout
      .toString()
      .split("\0")
      .filter((name) => name && existsSync(join(ROOT, name)));
    expect(files.length).toBeGreaterThan(50);
    expect(files.filter((name) => statSync(join(ROOT, name)).size > 1 << 20)).toEqual([]);
  });

  test("has sources that Node 22 runs as they are: it does not know `using`", () => {
    const sources = Array.from(new Bun.Glob("ts/**/*.ts").scanSync(ROOT));
    expect(sources.length).toBeGreaterThan(100);
    expect(sources.filter((path) => /^\s*(await )?using \w+ =/m.test(read(path)))).toEqual([]);
  });

  test("has the scripts that the documentation names", () => {
    const { scripts } = JSON.parse(read("package.json"));
    for (const name of ["train", "test", "bench", "check", "build", "build:js", "build:gyp", "test:sanitize"]) expect(scripts).toHaveProperty(name);
    for (const name of ["train", "test"]) expect(JSON.parse(read("deno.json")).tasks).toHaveProperty(name);
  });
});
