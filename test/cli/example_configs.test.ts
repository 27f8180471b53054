// The settings in examples/configs are complete and valid, and every one says what it is for.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readConfigFile } from "../../ts/cli/config_file.ts";
import type { Options } from "../../ts/cli/flags.ts";
import { resolveJob } from "../../ts/cli/job_config.ts";
import { mappingNames } from "../../ts/data/mappings/index.ts";
import { primeConfigSchema } from "../../ts/train/config.ts";
import { ROOT } from "./support.ts";

const FOLDER = join(ROOT, "examples", "configs");
const files = readdirSync(FOLDER);

test("there are two", () => expect(files.sort()).toEqual(["prime_7b.yaml", "qwen2.5-0.5b_gsm8k.yaml"]));

describe.each(files)("%s", (name) => {
  const file = join(FOLDER, name);

  test("every option is known, and what is written is what a run gets", async () => {
    const given = await readConfigFile(file);
    const { prime, model, data, place } = resolveJob(given);
    expect({ ...prime, ...place }).toMatchObject(Object.fromEntries(Object.entries(given).filter(([, value]) => typeof value !== "object")));
    expect(model).toMatchObject(given.model as Options);
    expect(data).toMatchObject(given.data as Options);
    expect(mappingNames).toContain(String(data.mapping));
    expect(Object.keys(primeConfigSchema.shape).filter((option) => !(option in given))).toEqual([]);
    expect(() => resolveJob({ ...given, promptPerStep: 3 })).toThrow("promptPerStep is not a PRIME option. Did you mean promptsPerStep?");
  });

  test("every option has half a line of explanation", () => {
    const lines = readFileSync(file, "utf8").split("\n");
    const options = lines.filter((line) => /^ *\w+: \S/.test(line));
    expect(options.length).toBeGreaterThan(60);
    expect(options.filter((line) => !/ # .{3,}/.test(line))).toEqual([]);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(160);
  });
});
