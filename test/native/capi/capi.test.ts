// libprimekit.so as a C program sees it, and what it shows of itself.
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { buildCLibrary } from "../../../scripts/build_c.ts";
import { findProgram } from "../../../ts/native/setup/build_key.ts";
import { casesHeader } from "./cases.ts";

const ROOT = resolve(import.meta.dir, "../../..");
const LIMIT = 600_000; // of the first build, where the addon was built elsewhere
const compiler = findProgram("cc");
const tools = compiler !== undefined && findProgram("cmake") !== undefined;
if (!tools) process.stderr.write("skipped: libprimekit.so's tests need cc and cmake\n");

function outputOf(command: string[], cwd = ROOT): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd });
  expect(exitCode, `${command[0]}: ${stdout}${stderr}`).toBe(0);
  return stdout.toString();
}

test.skipIf(!tools)(
  "a C11 program gets the oracles' values from every function, and sentences for its mistakes",
  () => {
    const library = dirname(buildCLibrary());
    const dir = mkdtempSync(join(tmpdir(), "primekit-c-"));
    try {
      writeFileSync(join(dir, "cases.h"), casesHeader());
      const strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"];
      const paths = [`-I${dir}`, `-I${join(ROOT, "native/include")}`, `-L${library}`, `-Wl,-rpath,${library}`];
      outputOf([compiler as string, ...strict, ...paths, join(import.meta.dir, "every_function.c"), "-lprimekit", "-lm", "-o", join(dir, "program")]);
      expect(outputOf([join(dir, "program")])).toMatch(/^\d{4,} values agree, 16 errors as they should be\n$/);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
  LIMIT,
);

test.skipIf(!tools || findProgram("nm") === undefined)(
  "the library exports what the header declares and nothing else",
  () => {
    const header = readFileSync(join(ROOT, "native/include/primekit.h"), "utf8");
    const declared = Array.from(header.matchAll(/^PK_API\b[^;]*?\b(pk_\w+)\(/gm), ([, name]) => name).sort();
    const symbols = outputOf(["nm", "--dynamic", "--defined-only", buildCLibrary()]);
    expect(Array.from(symbols.matchAll(/ [TDBWV] (\w+)$/gm), ([, name]) => name).sort()).toEqual(declared);
    expect(declared).toHaveLength(16);
  },
  LIMIT,
);
