// bun run test: everything there is to check. With arguments, only `bun test` with those.
import { existsSync } from "node:fs";
import { installIfAllowed } from "../ts/native/setup/system.ts";
import { bunTests, cudaCheck, sanitizerCheck, staticChecks, trainingCheck } from "./checks.ts";
import { runChecks } from "./run_checks.ts";

const args = process.argv.slice(2);
const all = () => [...staticChecks(), bunTests(), trainingCheck(), cudaCheck(), sanitizerCheck()];
// The report of process rewards is tested in a browser.
if (args.length === 0 && !process.env.PRIMEKIT_CHROMIUM && !existsSync("/usr/bin/chromium")) {
  installIfAllowed(["chromium"], (line) => process.stderr.write(`primekit: ${line}\n`));
}
process.exitCode = await runChecks(args.length > 0 ? [bunTests(args)] : all());
