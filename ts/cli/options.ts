// Options one by one.
import type { Options } from "./flags.ts";

/** Every value with its path ("sft.steps"). */
export function optionLeaves(options: Options, prefix = ""): [path: string, value: unknown][] {
  return Object.entries(options).flatMap(([key, value]) =>
    typeof value === "object" && value !== null ? optionLeaves(value, `${prefix}${key}.`) : [[`${prefix}${key}`, value] as [string, unknown]],
  );
}

export function optionPaths(options: Options): string[] {
  return optionLeaves(options).map(([path]) => path);
}
