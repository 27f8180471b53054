// A command line as citty reads it, for tests of what is made of it.
import { parseArgs } from "citty";
import { type Flag, toArgs } from "../../ts/cli/flags.ts";

export function parseRaw(args: string[], flags: readonly Flag[]): Record<string, unknown> {
  return { ...parseArgs(args, toArgs(flags)) };
}
