import { describe, expect, test } from "bun:test";
import { flagsOf } from "../../ts/cli/flags.ts";
import { parsePrimeConfig, parseSftConfig, primeConfigSchema, sftConfigSchema } from "../../ts/train/config.ts";

describe("defaults", () => {
  test("an empty object is a complete config; parsing it again changes nothing", () => {
    expect(parsePrimeConfig(parsePrimeConfig({}))).toEqual(parsePrimeConfig({}));
    expect(parseSftConfig(parseSftConfig({}))).toEqual(parseSftConfig({}));
  });
});

describe("parsePrimeConfig refuses with one line that names the option", () => {
  const cases: [string, object, RegExp][] = [
    ["an unknown key", { banana: 1 }, /^banana is not a PRIME option\.$/],
    ["a misspelt key, with a hint", { stepps: 1 }, /^stepps is not a PRIME option\. Did you mean steps\?$/],
    ["wrong case", { prmlr: 1 }, /Did you mean prmLr\?/],
    ["a wrong type", { steps: "many" }, /option steps has the value "many"/],
    ["a share of nothing", { topP: 0 }, /option topP has the value 0/],
    ["a fraction", { steps: 1.5 }, /option steps has the value 1\.5/],
    ["NaN", { lr: Number.NaN }, /option lr has the value NaN/],
    ["a negative rate", { prmLr: -1 }, /option prmLr has the value -1/],
    ["an unknown name", { algo: "ppo2" }, /option algo has the value "ppo2".*prime/],
    ["groups of one", { samplesPerPrompt: 1 }, /samplesPerPrompt must be at least 2 for prime/],
    ["a filter that nothing passes", { algo: "reinforce", samplesPerPrompt: 1 }, /samplesPerPrompt 1 needs filterLow 0/],
    ["crossed filter bounds", { filterLow: 0.7, filterHigh: 0.3 }, /filterLow must not exceed filterHigh/],
    ["a scale of process rewards that the estimator would ignore", { algo: "prime-grpo", normalizeProcess: "batch" }, /normalizeProcess batch .* "prime-grpo"/],
    ["a dual clip below 1", { dualClip: 0.5 }, /dualClip must be 0 \(off\) or above 1/],
  ];
  for (const [name, input, message] of cases) {
    test(name, () => {
      const parse = () => parsePrimeConfig(input as never);
      expect(parse).toThrow(message);
      expect(parse).toThrow(expect.objectContaining({ code: "ERR_CONFIG" }));
    });
  }

  test("a comparison with outcomes alone may keep the options of process rewards", () => {
    expect(parsePrimeConfig({ algo: "rloo", normalizeProcess: "batch" }).algo).toBe("rloo");
  });

  test("several problems, one line each", () => {
    expect(() => parsePrimeConfig({ bananas: 1, steps: -1, clipLow: 2 } as never)).toThrow(/steps[^\n]*\n[^\n]*clipLow[^\n]*\n[^\n]*bananas/);
  });
});

describe("the flags made of a schema", () => {
  for (const schema of [sftConfigSchema, primeConfigSchema]) {
    test("every option has a description, a type and the default that parsing gives", () => {
      const options = flagsOf(schema, "", "", {});
      const defaults = schema.parse({}) as Record<string, unknown>;
      expect(options.map((option) => option.name)).toEqual(Object.keys(defaults));
      for (const option of options) {
        expect(option.description.length).toBeGreaterThan(10);
        expect(option.default).toBe(defaults[option.name] as never);
        expect(typeof option.default).toBe(option.type);
        if (option.choices) expect(option.choices).toContain(option.default as string);
      }
    });
  }

  test("algorithms are offered by name", () => {
    expect(flagsOf(primeConfigSchema, "", "", {}).find((option) => option.name === "algo")?.choices).toEqual(
      expect.arrayContaining(["prime", "rloo", "reinforce", "grpo"]),
    );
  });
});
