// A command of the program: a flag table and a function; citty parses and dispatches.
import { type CommandDef, defineCommand } from "citty";
import { type Flag, normalize, type Options, readFlags, toArgs } from "./flags.ts";
import { renderHelp } from "./help.ts";

export interface Command {
  name: string;
  description: string;
  flags: readonly Flag[];
  /** The flag whose value may also stand alone, in front: "prm view runs/NAME". */
  argument?: string;
  /** Returns the process's exit code. */
  run(options: Options, invocation: string): Promise<number>;
}

/** `invocation` is how the user calls it ("bun run train.ts"), for help and hints. */
export function toCitty(command: Command, invocation: string, exit: (code: number) => void): CommandDef {
  return defineCommand({
    meta: { name: command.name, description: command.description },
    args: toArgs(command.flags),
    run: async ({ args }) => exit(await command.run(readFlags({ ...args }, command.flags), invocation)),
  }) as CommandDef;
}

export function helpOf(command: Command, invocation: string, width: number): string {
  return renderHelp(`${invocation} [options]`, command.description, command.flags, width);
}

export function prepareArgs(command: Command, rawArgs: readonly string[]): string[] {
  const [first, ...rest] = rawArgs;
  const named = command.argument !== undefined && first !== undefined && !first.startsWith("-") ? [`--${command.argument}`, first, ...rest] : rawArgs;
  return normalize(named, command.flags);
}
