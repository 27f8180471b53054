// bun run test: everything there is to check. With arguments, only `bun test` with those.
import { bunTests, cudaCheck, sanitizerCheck, staticChecks, trainingCheck } from "./checks.ts";
import { runChecks } from "./run_checks.ts";

const args = process.argv.slice(2);
const all = () => [...staticChecks(), bunTests(), trainingCheck(), cudaCheck(), sanitizerCheck()];
process.exitCode = await runChecks(args.length > 0 ? [bunTests(args)] : all());
