import { describe, expect, test } from "bun:test";
import { type Flag, mergeOptions, normalize, readFlags } from "../../ts/cli/flags.ts";
import { renderHelp } from "../../ts/cli/help.ts";
import { jobFlags, resolveJob, resumeJob } from "../../ts/cli/job_config.ts";
import { parseRaw } from "./citty.ts";

const flags: Flag[] = [
  { name: "steps", type: "number", description: "how many", default: 3, section: "A" },
  { name: "sft.lr", type: "number", description: "rate", section: "B" },
  { name: "whiten", type: "boolean", description: "standardise", default: true, section: "A" },
  { name: "algo", type: "string", choices: ["prime", "rloo"], description: "which one", default: "prime", section: "A" },
  { name: "resume", type: "string", valueOptional: true, description: "go on", section: "A" },
];

describe("flags", () => {
  const good: [string[], object][] = [
    [[], {}],
    [["--steps", "5"], { steps: 5 }],
    [["--steps=5", "--sft.lr", "1e-3"], { steps: 5, sft: { lr: 0.001 } }],
    [["--sft.lr", "-2"], { sft: { lr: -2 } }],
    [["--whiten"], { whiten: true }],
    [["--whiten", "false"], { whiten: false }],
    [["--whiten=false"], { whiten: false }],
    [["--no-whiten"], { whiten: false }],
    [["--whiten", "--steps", "4"], { whiten: true, steps: 4 }],
    [["--resume"], { resume: "" }],
    [["--resume", "--steps", "4"], { resume: "", steps: 4 }],
    [["--resume", "a"], { resume: "a" }],
    [["--steps", "1", "--steps", "2"], { steps: 2 }],
    [["--algo", "rloo"], { algo: "rloo" }],
  ];
  for (const [args, options] of good) {
    test(`${args.join(" ") || "(none)"} gives ${JSON.stringify(options)}`, () => {
      expect(readFlags(parseRaw(normalize(args, flags), flags), flags)).toEqual(options as never);
    });
  }

  const bad: [string[], RegExp][] = [
    [["--step", "5"], /There is no option --step\. Did you mean --steps\?/],
    [["--zzzzzzzz"], /There is no option --zzzzzzzz\. See --help\./],
    [["--no-whitten"], /Did you mean --whiten\?/],
    [["--steps", "x"], /--steps must be a number, but got "x"/],
    [["--steps="], /--steps must be a number, but got no value/],
    [["--algo", "ppo"], /--algo must be one of prime, rloo, but got "ppo"/],
    [["7"], /The argument "7" belongs to no option/],
  ];
  for (const [args, message] of bad) {
    test(`${args.join(" ")} is refused`, () => {
      expect(() => readFlags(parseRaw(normalize(args, flags), flags), flags)).toThrow(message);
    });
  }

  test("nested options merge one by one", () => {
    expect(mergeOptions({ a: 1, sft: { lr: 1, steps: 2 } }, { sft: { lr: 3 }, b: 4 })).toEqual({ a: 1, b: 4, sft: { lr: 3, steps: 2 } });
  });
});

describe("the main job's configuration", () => {
  test("has a flag for every option, and every flag's default is what the configuration says", () => {
    const config = resolveJob({});
    const { place, prime, ...nested } = config;
    const flat: Record<string, unknown> = { ...place, ...prime };
    for (const [section, options] of Object.entries(nested)) for (const [key, value] of Object.entries(options)) flat[`${section}.${key}`] = value;
    const fromFlags = Object.fromEntries(jobFlags().map((flag) => [flag.path ?? flag.name, flag.default]));
    delete fromFlags.config;
    delete fromFlags.resume;
    expect(fromFlags).toEqual(flat as never);
    for (const flag of jobFlags()) expect(flag.description, flag.name).not.toBe("");
  });

  test("--seed reaches fine-tuning, weights and problems, unless they have their own", () => {
    const config = resolveJob({ seed: 7, sft: { seed: 8 } });
    expect([config.prime.seed, config.sft.seed, config.model.seed, config.task.seed]).toEqual([7, 8, 7, 7]);
  });

  test("survives JSON, and only what may change does on resume", () => {
    const config = JSON.parse(JSON.stringify(resolveJob({ steps: 5 })));
    expect(resumeJob(config, {})).toEqual(config);
    expect(resumeJob(config, { steps: 9, sft: { saveEvery: 3 } })).toEqual({
      ...config,
      prime: { ...config.prime, steps: 9 },
      sft: { ...config.sft, saveEvery: 3 },
    });
    expect(() => resumeJob(config, { model: { hiddenSize: 8 } })).toThrow(/model\.hiddenSize is fixed by the run/);
  });

  test("names unknown options in every part", () => {
    expect(() => resolveJob({ model: { hiddenSiz: 3 } })).toThrow(/hiddenSiz/);
    expect(() => resolveJob({ task: { level: 3 } })).toThrow(/level/);
    expect(() => resolveJob({ algoo: "prime" })).toThrow(/algoo is not a PRIME option\. Did you mean algo\?/);
  });
});

describe("help", () => {
  test("names every option, its default and its choices, within the width", () => {
    const text = renderHelp("x [options]", "Does x.", flags, 60);
    for (const { name } of flags) expect(text).toContain(`--${name}`);
    expect(text).toContain("[3]");
    expect(text).toContain("prime, rloo");
    expect(text).toContain("\nA:\n");
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(60);
    expect(
      renderHelp("x", "", jobFlags(), 100)
        .split("\n")
        .every((line) => line.length <= 100),
    ).toBe(true);
  });
});
