#!/usr/bin/env node
// The package's binary, `primekit`.
import { runProgram } from "./main.ts";

await runProgram();
