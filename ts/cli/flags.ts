// Flags: a table made from the typed configurations, and the reading of a command line by it. citty does the parsing.
import type { ArgsDef } from "citty";
import { z } from "zod";
import { PrimekitError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";

export interface Flag {
  /** Dots lead into nested options: "sft.steps". */
  name: string;
  /** Where the value goes, when not to `name`. */
  path?: string;
  type: "number" | "boolean" | "string";
  description: string;
  choices?: readonly string[];
  default?: number | boolean | string;
  /** The flag may stand alone; it then has the empty text as its value. */
  valueOptional?: boolean;
  /** Heading in --help. */
  section: string;
}

export type Options = { [name: string]: number | boolean | string | Options };

/** The table as citty wants it. Defaults stay out: what was not given must not override a configuration file. */
export function toArgs(flags: readonly Flag[]): ArgsDef {
  return Object.fromEntries(flags.map(({ name, type, description }) => [name, { type: type === "boolean" ? "boolean" : "string", description }]));
}

/** `--flag true` becomes `--flag=true` for booleans, and a flag whose value may be left out gets an empty one. */
export function normalize(rawArgs: readonly string[], flags: readonly Flag[]): string[] {
  const result: string[] = [];
  for (let i = 0; i < rawArgs.length; i++) {
    const flag = rawArgs[i].startsWith("--") ? find(rawArgs[i].slice(2), flags) : undefined;
    const next = rawArgs[i + 1];
    if (flag?.type === "boolean" && (next === "true" || next === "false")) {
      result.push(`${rawArgs[i]}=${next}`);
      i++;
    } else if (flag?.valueOptional && (next === undefined || next.startsWith("-"))) result.push(`${rawArgs[i]}=`);
    else result.push(rawArgs[i]);
  }
  return result;
}

/**
 * The options given on the command line, nested and typed.
 * @throws PrimekitError ERR_CONFIG for an unknown flag (with the closest known one), a stray argument or a value of the wrong type
 */
export function readFlags(args: Record<string, unknown>, flags: readonly Flag[]): Options {
  const options: Options = {};
  for (const [key, value] of Object.entries(args)) {
    if (key === "_") continue;
    const flag = find(key, flags);
    if (!flag) {
      const names = flags.map(({ name }) => name);
      throw new PrimekitError("ERR_CONFIG", `There is no option --${key}.${didYouMean(key, names, (name) => `--${name}`)} See --help.`);
    }
    assign(options, flag.path ?? flag.name, parseValue(flag, value));
  }
  const stray = (args._ as string[])[0];
  if (stray !== undefined)
    throw new PrimekitError("ERR_CONFIG", `The argument ${JSON.stringify(stray)} belongs to no option; options are written --name value.`);
  return options;
}

/** Options of `over` put on top of `base`, nested ones one by one. */
export function mergeOptions(base: Options, over: Options): Options {
  const result: Options = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = result[key];
    result[key] = typeof value === "object" && typeof below === "object" ? mergeOptions(below, value) : value;
  }
  return result;
}

type FlatSchema = z.ZodObject<Record<string, z.ZodDefault<z.ZodType>>>;

/** The flags of a flat schema; `defaults` stand in for the schema's own. */
export function flagsOf(schema: z.ZodObject, section: string, prefix: string, defaults: Options): Flag[] {
  return Object.entries((schema as FlatSchema).shape).map(([key, field]) => {
    const inner = field.unwrap();
    const fallback = (defaults[key] ?? field.parse(undefined)) as NonNullable<Flag["default"]>;
    const type = typeof fallback as Flag["type"];
    const choices = inner instanceof z.ZodEnum ? { choices: inner.options.map(String) } : {};
    return { name: `${prefix}${key}`, type, description: field.description ?? "", default: fallback, section, ...choices };
  });
}

// --- internal ---

/** Spelling variants (--max-new-tokens for maxNewTokens) count as the name; citty hands them out too. */
function find(key: string, flags: readonly Flag[]): Flag | undefined {
  const plain = (text: string) => text.replace(/[-_.]/g, "").toLowerCase();
  return flags.find(({ name, path }) => name === key || path === key) ?? flags.find(({ name }) => plain(name) === plain(key));
}

function parseValue({ name, type, choices, valueOptional }: Flag, value: unknown): number | boolean | string {
  const refuse = (expected: string): never => {
    throw new PrimekitError("ERR_CONFIG", `--${name} must be ${expected}, but got ${value === "" ? "no value" : JSON.stringify(value)}.`);
  };
  if (type === "boolean") return typeof value === "boolean" ? value : refuse("true or false");
  if (typeof value !== "string" || (value === "" && !valueOptional)) return refuse(type === "number" ? "a number" : "given a value");
  if (type === "number") {
    const number = Number(value);
    return value.trim() === "" || Number.isNaN(number) ? refuse("a number") : number;
  }
  if (choices && !choices.includes(value)) return refuse(`one of ${choices.join(", ")}`);
  return value;
}

function assign(options: Options, path: string, value: number | boolean | string): void {
  const names = path.split(".");
  let target = options;
  for (const name of names.slice(0, -1)) {
    target[name] ??= {};
    target = target[name] as Options;
  }
  target[names[names.length - 1]] = value;
}
