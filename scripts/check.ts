// bun run check: format, lint and types, in a few seconds.
import { staticChecks } from "./checks.ts";
import { runChecks } from "./run_checks.ts";

process.exitCode = await runChecks(staticChecks());
