// Does a PRM that saw outcomes alone find the wrong step, and does it pick better answers than a vote? Three seeds, held-out problems.
//   bun test/bench/localisation.ts [FOLDER [SEED]]   runs what FOLDER (default runs/localisation) does not hold yet, then renews results/localisation.md;
//   with a seed only its part, without the page (so seeds can run side by side); with "page" only the page, from what is there.
//   Models found in FOLDER are used again: begin with a new one after a change of settings or engine.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Model } from "../../ts/model.ts";
import type { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";
import { RESULTS } from "./harness.ts";
import { bestOfSixteen, PICK_SETTINGS, type PickSetting, type Picks } from "./localisation/best_of_n.ts";
import { type Found, localise } from "./localisation/localise.ts";
import { page } from "./localisation/page.ts";

const SEEDS = [1, 2, 3];
const folder = resolve(process.argv[2] ?? join(import.meta.dirname, "../..", "runs", "localisation"));
const only = process.argv[3];

/** What is there, by seed. */
export interface Results {
  found: Map<number, Found>;
  picks: Map<PickSetting, Map<number, Picks>>;
}

mkdirSync(folder, { recursive: true });
const settings = Object.keys(PICK_SETTINGS) as PickSetting[];
const results: Results = { found: new Map(), picks: new Map(settings.map((name) => [name, new Map()])) };
for (const seed of SEEDS.filter((seed) => only === undefined || only === "page" || seed === Number(only))) {
  await once(results.found, seed, "localise", () => localise(seed, startModel));
  for (const [name, picks] of results.picks) await once(picks, seed, `best-of-n-${name}`, () => bestOfSixteen(name, seed, startModel));
}
if (only === undefined || only === "page") writeFileSync(join(RESULTS, "localisation.md"), page(results));

/** A part's result from its file, or computed and kept there. */
async function once<T>(parts: Map<number, T>, seed: number, name: string, compute: () => Promise<T>): Promise<void> {
  const file = join(folder, `${name}-${seed}.json`);
  if (!existsSync(file)) {
    if (only === "page") return;
    console.log(`${new Date().toLocaleTimeString()}  ${name}, seed ${seed}`);
    writeFileSync(file, `${JSON.stringify(await compute(), null, 1)}\n`);
  }
  parts.set(seed, JSON.parse(readFileSync(file, "utf8")) as T);
}

/** A fine-tuned model, from its folder where an earlier call left it. 0.1 M weights, random ones at first. */
async function startModel(name: string, seed: number, tokenizer: Tokenizer, fineTune: (model: Model) => Promise<unknown>): Promise<Model> {
  const dir = join(folder, name);
  if (existsSync(join(dir, "model.safetensors"))) return Model.load(dir, { dtype: "float32" });
  const sizes = { hiddenSize: 64, intermediateSize: 192, numHiddenLayers: 2, numAttentionHeads: 2, numKeyValueHeads: 1, tieWordEmbeddings: true };
  const model = await Model.load({ ...sizes, initializerRange: 0.1, vocabSize: tokenizer.vocabSize, eosTokenId: tokenizer.eosId }, { dtype: "float32", seed });
  await fineTune(model);
  await model.save(dir);
  return model;
}

export type StartModel = typeof startModel;
