// The main job: bun run train.ts [--config FILE] [--any.option value]; --help lists the options.
import { runMain } from "./ts/cli/main.ts";

await runMain();
