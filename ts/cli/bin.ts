#!/usr/bin/env bun
// The package's binary, `primekit`.
import { runProgram } from "./main.ts";

await runProgram();
