// Entry points of the program. Here, and only here, output goes to the terminal for good and the process gets its exit code.
import { relative } from "node:path";
import { type CommandDef, runCommand } from "citty";
import { PrimekitError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";
import { VERSION } from "../version.ts";
import { type Command, helpOf, prepareArgs, toCitty } from "./command.ts";
import { downloadCommand } from "./download.ts";
import { evalCommand } from "./eval.ts";
import { generateCommand } from "./generate.ts";
import { infoCommand } from "./info.ts";
import { planCommand } from "./plan.ts";
import { prmScoreCommand } from "./prm_score.ts";
import { prmTrainCommand } from "./prm_train.ts";
import { prmViewCommand } from "./prm_view.ts";
import { sftCommand } from "./sft.ts";
import { trainCommand } from "./train.ts";
import { verifyCommand } from "./verify.ts";

const COMMANDS: Command[] = [
  trainCommand,
  sftCommand,
  generateCommand,
  evalCommand,
  prmTrainCommand,
  prmScoreCommand,
  prmViewCommand,
  verifyCommand,
  downloadCommand,
  planCommand,
  infoCommand,
];

/** train.ts: the main job. */
export async function runMain(rawArgs: string[] = process.argv.slice(2)): Promise<void> {
  await guard(() => runOne(trainCommand, rawArgs, mainInvocation()));
}

/** The `primekit` program: a command's name first. */
export async function runProgram(rawArgs: string[] = process.argv.slice(2)): Promise<void> {
  await guard(async () => {
    const [first = "--help", second = "--help"] = rawArgs;
    if (first === "--help" || first === "-h") return print(overview(COMMANDS));
    if (first === "--version") return print(VERSION);
    // a command's name is one word, or two: "train", "prm train"
    const words = second.startsWith("-") ? [first] : [first, second];
    const command = COMMANDS.find(({ name }) => name === words[0] || name === words.join(" "));
    if (command) return runOne(command, rawArgs.slice(command.name.split(" ").length), `primekit ${command.name}`);
    const group = COMMANDS.filter(({ name }) => name.startsWith(`${words[0]} `));
    if (group.length > 0 && words.length === 1) return print(overview(group));
    const asked = group.length > 0 ? words.join(" ") : words[0];
    const names = (group.length > 0 ? group : COMMANDS).map(({ name }) => name);
    throw new PrimekitError("ERR_CONFIG", `There is no command ${JSON.stringify(asked)}.${didYouMean(asked, names)} There are ${names.join(", ")}.`);
  });
}

// --- internal ---

/** How the main job was called, as the user would type it again. */
function mainInvocation(): string {
  if (process.versions.deno) return "deno task train";
  if (!process.versions.bun) return `node ${relative(process.cwd(), process.argv[1])}`;
  return process.env.npm_command === "exec" ? "npx bun run train.ts" : "bun run train.ts";
}

async function runOne(command: Command, rawArgs: string[], invocation: string): Promise<void> {
  if (rawArgs.includes("--help") || rawArgs.includes("-h")) return print(helpOf(command, invocation, process.stdout.columns ?? 120));
  const setExitCode = (code: number) => {
    process.exitCode = code;
  };
  await runCommand(toCitty(command, invocation, setExitCode) as CommandDef, { rawArgs: prepareArgs(command, rawArgs) });
}

/** One clear line for what a user can do something about; the whole stack for a fault of the program. */
async function guard(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const expected = error instanceof Error && ("code" in error || error.name === "CLIError");
    const text = expected ? error.message : error instanceof Error ? `This is a fault in primekit: ${error.stack}` : String(error);
    process.stderr.write(`primekit: ${text}\n`);
    process.exitCode = expected && (error as PrimekitError).code === "ERR_CONFIG" ? 2 : 1;
  }
}

function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, description }) => `  ${name.padEnd(width)}   ${description}`);
  return ["Usage: primekit COMMAND [options]", "", ...lines, "", "primekit COMMAND --help lists a command's options."].join("\n");
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
