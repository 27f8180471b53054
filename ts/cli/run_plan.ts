// The run folder of a command that trains: a new one, or the one that --resume names.
import { resolve } from "node:path";
import { PrimekitError } from "../errors.ts";
import { listRuns, RunFolder } from "../run/run_folder.ts";
import { didYouMean } from "../suggest.ts";
import { readConfigFile } from "./config_file.ts";
import { mergeOptions, type Options } from "./flags.ts";

/** How a command makes its configuration. */
export interface RunKind<Config> {
  kind: string; // "train", "sft"
  resolve(given: Options): Config;
  /** That of a run that goes on; throws ERR_CONFIG for options that may not change. */
  resume(saved: Config, given: Options): Config;
}

export interface RunPlan<Config> {
  config: Config;
  resumed: boolean;
  /** Makes the run folder `name` below `runs`, or opens the one to go on with; `config` is what its config.json will hold. */
  openRun: (runs: string, name: string, config: Config) => Promise<RunFolder>;
}

/** Reads --config and --resume. Throws ERR_CONFIG. */
export async function planRun<Config extends object>(options: Options, how: RunKind<Config>): Promise<RunPlan<Config>> {
  const { config: file, resume, ...flags } = options;
  const given = mergeOptions(file === undefined ? {} : await readConfigFile(String(file)), flags);
  if (resume !== undefined) return planResume(String(resume), given, how);
  const openRun = (runs: string, name: string, config: Config) =>
    RunFolder.create(runs, name || `${how.kind}-${timestamp(new Date())}`, { kind: how.kind, ...config });
  return { config: how.resolve(given), resumed: false, openRun };
}

/** 20261121-093000, local time. */
export function timestamp(date: Date): string {
  const pad = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}${pad(date.getMonth() + 1)}${pad(date.getDate())}`;
  return `${day}-${pad(date.getHours())}${pad(date.getMinutes())}${pad(date.getSeconds())}`;
}

// --- internal ---

async function planResume<Config extends object>(name: string, given: Options, { kind, resume }: RunKind<Config>): Promise<RunPlan<Config>> {
  const root = String(given.runs ?? "runs");
  const names = await listRuns(root);
  const chosen = name || names[0];
  if (chosen === undefined) throw new PrimekitError("ERR_CONFIG", `There is no run to go on with in ${resolve(root)}.`);
  if (!names.includes(chosen))
    throw new PrimekitError("ERR_CONFIG", `There is no run ${JSON.stringify(chosen)} in ${resolve(root)}.${didYouMean(chosen, names)}`);
  const { kind: savedKind, ...saved } = await RunFolder.readConfig(resolve(root, chosen));
  if (savedKind !== kind) throw new PrimekitError("ERR_CONFIG", `The run ${chosen} was made by "${savedKind}", so "${kind}" cannot go on with it.`);
  const openRun = async (_runs: string, _name: string, config: Config) => {
    const run = await RunFolder.open(resolve(root, chosen));
    await run.writeConfig({ kind, ...config });
    return run;
  };
  return { config: resume(saved as Config, given), resumed: true, openRun };
}
