import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { findViolations } from "./layers.ts";

const ROOT = resolve(import.meta.dir, "..");

function sourceFiles(): Record<string, string> {
  const listed = ["ts", "native", "scripts"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name.replaceAll("\\", "/")}`),
  );
  const sources = [...listed, "train.ts"].filter((path) => /\.(ts|h|cpp|cu|cuh)$/.test(path));
  return Object.fromEntries(sources.map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
}

describe("imports run one way", () => {
  test("in the whole source tree", () => {
    const files = sourceFiles();
    expect(Object.keys(files).length).toBeGreaterThan(100);
    expect(findViolations(files)).toEqual([]);
  });

  const forbidden: [string, string, RegExp][] = [
    ["ts/kernels/losses.ts", 'import { Model } from "../model.ts";', /kernels\) must not import ts\/model\.ts \(model\)/],
    ["ts/run/run_folder.ts", 'import { loadAddon } from "../native/addon.ts";', /run\) must not import/],
    ["ts/verifiers/math.ts", 'import type { Problem } from "../data/types.ts";', /verifiers\) must not import/],
    ["ts/model.ts", 'export { x } from "./algo/estimators.ts";', /model\) must not import/],
    ["ts/train/sft.ts", 'const x = await import("../cli/main.ts");', /train\) must not import/],
    ["ts/train/sft.ts", 'import { runPrime } from "./prime.ts";', /trainers do not import each other/],
    ["ts/rollout/sample.ts", 'import { x } from "../algo/returns.ts";', /rollout\) must not import/],
    ["scripts/ensure.ts", 'import { x } from "../ts/data/random.ts";', /ensure\) must not import/],
    ["ts/native/setup/build.ts", 'import { z } from "zod";', /before any package is installed/],
    ["ts/data/random.ts", "console.log(1);", /only ts\/cli prints and exits/],
    ["ts/new_thing.ts", "", /belongs to no layer/],
    ["train.ts", 'import { runPrime } from "./ts/train/prime.ts";', /main\) must not import/],
    ["native/core/arena.h", '#include "ops/backend.h"', /core\) must not include/],
    ["native/model/qwen2.cpp", '#include "cpu/cpu_backend.h"', /model\) must not include/],
    ["native/model/qwen2.cpp", '#include "ops/other.h"', /only ops\/backend\.h/],
    ["native/cpu/gemm.cpp", "#include <napi.h>", /only native\/binding knows JavaScript/],
    ["native/cuda/gemm.cu", '#  include "cpu/gemm.h"', /cuda\) must not include/],
  ];
  for (const [path, text, sentence] of forbidden) {
    test(`${path} with ${text || "no place in the table"} is caught`, () => {
      const found = findViolations({ [path]: text });
      expect(found).toHaveLength(1);
      expect(found[0]).toMatch(sentence);
    });
  }

  test("what is allowed passes", () => {
    const allowed = {
      "ts/train/prime.ts": 'import { a } from "../algo/x.ts"; import { b } from "./prime_phases.ts"; import { z } from "zod"; import { c } from "./config.ts";',
      "native/binding/x.cpp": '#include <napi.h>\n#include "model/qwen2.h"\n#include "cpu/cpu_backend.h"\n#include <vector>',
    };
    expect(findViolations(allowed)).toEqual([]);
  });
});
