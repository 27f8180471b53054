import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withLock } from "../../ts/native/setup/lock.ts";

const root = mkdtempSync(join(tmpdir(), "primekit-lock-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("a lock that its owner died with, or without a name in it since long, does not stop the next set-up", () => {
  for (const left of ["999999 1", ""]) {
    const file = join(root, "folder", "setup.lock");
    withLock(
      file,
      () => undefined,
      () => 0,
    ); // makes the folder
    writeFileSync(file, left);
    utimesSync(file, new Date(0), new Date(0));
    const said: string[] = [];
    expect(
      withLock(
        file,
        (line) => said.push(line),
        () => existsSync(file),
      ),
    ).toBe(true);
    expect(said.length).toBeLessThanOrEqual(1);
    expect(existsSync(file)).toBe(false);
  }
}, 5000);
