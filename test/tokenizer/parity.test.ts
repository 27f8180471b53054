// Token ids are those of the reference implementation (Rust tokenizers, as transformers uses it), line by recorded line.
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";

setDefaultTimeout(120_000);
const root = join(import.meta.dir, "..", "..");
const shared = join(root, "..", "shared");
const qwen = join(shared, "tokenizers", "qwen2_5");
const stories = join(shared, "models", "stories260K", "hf-qwen2");
/** Recordings, and the tokenizers they are of; those with other names are the two with stages of other families (named in the recording) in place of their own. */
const CASES = [
  { name: "qwen2_5", dir: qwen, lines: 6500 },
  { name: "llama3", dir: qwen, lines: 1000 },
  { name: "gpt2", dir: qwen, lines: 1000 },
  { name: "digits", dir: qwen, lines: 1000 },
  { name: "stories260K", dir: stories, lines: 1000 },
  { name: "metaspace_first", dir: stories, lines: 1000 },
  { name: "metaspace_split", dir: stories, lines: 1000 },
];

for (const { name, dir, lines } of CASES) {
  if (!existsSync(dir)) console.log(`skipped: ${name} against the reference, because ${dir} is absent.`);
  test.skipIf(!existsSync(dir))(`${name}: ids equal the reference's`, async () => {
    const { change, rows } = recording(join(root, "test", "fixtures", "tokenizers", `${name}.jsonl.gz`));
    expect(rows.length).toBeGreaterThanOrEqual(lines);
    expect(differences(await changedTokenizer(dir, change), rows)).toEqual([]);
  });
}

const more = process.env.PRIMEKIT_TOKENIZER_LINES;
test.skipIf(!more || !existsSync(qwen))(`Qwen2.5: the lines recorded in ${more ?? "PRIMEKIT_TOKENIZER_LINES"}`, async () => {
  const { rows } = recording(more as string);
  console.log(`${rows.length} lines, ${rows.reduce((sum, [, ids]) => sum + ids.length, 0)} tokens`);
  expect(differences(await Tokenizer.load(qwen), rows)).toEqual([]);
});

// --- internal ---

type Line = [text: string, ids: number[]];

function recording(file: string): { change: Record<string, unknown>; rows: Line[] } {
  const [about, ...rows] = gunzipSync(readFileSync(file)).toString("utf8").trimEnd().split("\n");
  return { change: JSON.parse(about).change, rows: rows.map((row) => JSON.parse(row)) };
}

/** The tokenizer of a folder with some settings of tokenizer.json replaced: "model.ignore_merges" is one within "model". */
async function changedTokenizer(dir: string, change: Record<string, unknown>): Promise<Tokenizer> {
  const json = JSON.parse(readFileSync(join(dir, "tokenizer.json"), "utf8"));
  for (const [path, value] of Object.entries(change)) {
    const [outer, inner] = path.split(".");
    if (inner) json[outer][inner] = value;
    else json[outer] = value;
  }
  return Tokenizer.fromJson(json, JSON.parse(readFileSync(join(dir, "tokenizer_config.json"), "utf8")));
}

function differences(tokenizer: Tokenizer, rows: readonly Line[]): object[] {
  return rows.flatMap(([text, expected]) => {
    const ids = Array.from(tokenizer.encode(text));
    return ids.join() === expected.join() ? [] : [{ text: text.slice(0, 200), ids: ids.slice(0, 50), expected: expected.slice(0, 50) }];
  });
}
