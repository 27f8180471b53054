// Writes the built-in task's tokenizer files: bun scripts/make_arithmetic_tokenizer.ts
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { arithmeticTokenizerConfig, arithmeticTokenizerJson } from "../ts/data/arithmetic_tokenizer.ts";

const folder = join(import.meta.dirname, "..", "ts", "data", "arithmetic_tokenizer");
writeFileSync(join(folder, "tokenizer.json"), `${JSON.stringify(arithmeticTokenizerJson(), null, 2)}\n`);
writeFileSync(join(folder, "tokenizer_config.json"), `${JSON.stringify(arithmeticTokenizerConfig(), null, 2)}\n`);
