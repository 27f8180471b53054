// RoPE frequencies against those of transformers for the settings of real models (test/fixtures/record_rope.py), and what is refused.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { PrimekitError } from "../../ts/errors.ts";
import { fromHuggingFace, toHuggingFace } from "../../ts/model_config.ts";
import { ropeTable } from "../../ts/model_rope.ts";
import { FIXTURES } from "../support/models.ts";

interface Recorded {
  name: string;
  settings: Record<string, unknown>;
  scale: number;
  frequencies: number[];
}
const recorded = JSON.parse(readFileSync(join(FIXTURES, "rope.json"), "utf8")) as Recorded[];
const base = { model_type: "llama", vocab_size: 8, hidden_size: 128, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1 };

describe("frequencies and attention factors are those of transformers", () => {
  for (const { name, settings, scale, frequencies } of recorded) {
    test(name, () => {
      const config = fromHuggingFace({ ...base, ...settings }, "config.json");
      const again = fromHuggingFace(toHuggingFace(config, "float32"), "config.json");
      expect(again).toEqual(config);
      const table = ropeTable(config.ropeTheta, config.headDim, config.ropeScaling);
      expect(table.frequencies.length).toBe(frequencies.length);
      for (const [d, expected] of frequencies.entries()) expect(Math.abs(table.frequencies[d] / expected - 1)).toBeLessThan(1e-6); // theirs are float32
      expect(Math.abs(table.scale - scale)).toBeLessThan(1e-9);
    });
  }
});

describe("what is not supported is refused by name", () => {
  const cases: [string, Record<string, unknown>, string, RegExp][] = [
    ["dynamic", { rope_scaling: { type: "dynamic", factor: 2 } }, "ERR_UNSUPPORTED", /dynamic/],
    ["longrope", { rope_scaling: { rope_type: "longrope", long_factor: [1], short_factor: [1] } }, "ERR_UNSUPPORTED", /longrope/],
    ["a type that is an object's own", { rope_scaling: { rope_type: "constructor" } }, "ERR_UNSUPPORTED", /constructor/],
    ["an unknown setting", { rope_scaling: { type: "linear", factor: 2, wobble: 3 } }, "ERR_UNSUPPORTED", /wobble/],
    [
      "a part of the head only",
      { rope_parameters: { rope_type: "default", rope_theta: 1e4, partial_rotary_factor: 0.5 } },
      "ERR_UNSUPPORTED",
      /partial_rotary/,
    ],
    ["settings by layer type", { rope_parameters: { full_attention: { rope_type: "default" } } }, "ERR_UNSUPPORTED", /full_attention/],
    ["a factor in a string", { rope_scaling: { type: "linear", factor: "2" } }, "ERR_CONFIG", /factor/],
    ["no factor", { rope_scaling: { type: "linear" } }, "ERR_CONFIG", /factor/],
    ["a factor below 0", { rope_scaling: { type: "yarn", factor: -1 } }, "ERR_CONFIG", /factor/],
    ["llama3 without its bounds", { rope_scaling: { type: "llama3", factor: 8 } }, "ERR_CONFIG", /lowFreqFactor/],
    ["a list", { rope_scaling: [1] }, "ERR_CONFIG", /rope_scaling/],
  ];
  for (const [title, settings, code, message] of cases) {
    test(title, () => {
      const read = () => fromHuggingFace({ ...base, ...settings }, "some/config.json");
      expect(read).toThrow(message);
      try {
        read();
      } catch (error) {
        expect((error as PrimekitError).code).toBe(code);
        expect((error as Error).message).toContain("some/config.json");
      }
    });
  }
});
