// Options as they are checked: against a schema, and one by one.
import type { z } from "zod";
import { PrimekitError } from "../errors.ts";
import type { Options } from "./flags.ts";

/** Options checked and completed by a flat schema; `what` names them in errors. Throws ERR_CONFIG with one line per problem. */
export function parseOptions<S extends z.ZodObject>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value ?? {});
  if (result.success) return result.data as z.output<S>;
  const lines = result.error.issues.map((issue) => {
    if (issue.code === "unrecognized_keys") return `There is no ${what} option ${issue.keys.join(", ")}; there are ${Object.keys(schema.shape).join(", ")}.`;
    return `The ${what} option ${issue.path.join(".")} is wrong: ${issue.message}.`;
  });
  throw new PrimekitError("ERR_CONFIG", lines.join("\n"));
}

/** Every value with its path ("sft.steps"). */
export function optionLeaves(options: Options, prefix = ""): [path: string, value: unknown][] {
  return Object.entries(options).flatMap(([key, value]) =>
    typeof value === "object" && value !== null ? optionLeaves(value, `${prefix}${key}.`) : [[`${prefix}${key}`, value] as [string, unknown]],
  );
}

export function optionPaths(options: Options): string[] {
  return optionLeaves(options).map(([path]) => path);
}
