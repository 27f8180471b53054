// Memory does not grow with the file: the same program opens 8 MiB and 80 MiB (the bench, dataset_memory.ts, opens 2 GiB).
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { writeRows } from "../../bench/dataset_memory.ts";
import { Scratch } from "../support.ts";

const scratch = new Scratch();
beforeAll(() => scratch.open());
afterAll(() => scratch.close());

function peakOf(mebibytes: number): { mebibytes: number; kept: number; bad: number } {
  const file = join(scratch.dir, `${mebibytes}.jsonl`);
  writeRows(file, mebibytes << 20);
  const { stdout, exitCode } = Bun.spawnSync([process.execPath, resolve(import.meta.dir, "../../bench/dataset_memory.ts"), "measure", file], {
    stderr: "inherit",
  });
  expect(exitCode).toBe(0);
  return JSON.parse(stdout.toString());
}

test("ten times the file, no more memory", () => {
  const [small, large] = [peakOf(8), peakOf(80)];
  expect(large.kept).toBeGreaterThan(9 * small.kept);
  expect(large.bad).toBe(Math.floor((large.kept + large.bad + 256) / 1000));
  expect(large.mebibytes - small.mebibytes).toBeLessThan(60);
  expect(large.mebibytes).toBeLessThan(250);
}, 60_000);
