// train.ts with ids on the hub (a server on this machine): downloads, trains, and goes on without a connection.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { arithmeticTask } from "../../ts/data/arithmetic.ts";
import { Scratch } from "../data/support.ts";
import { COMMIT, text, useHub } from "../hub/support.ts";
import { makeModel } from "./models.ts";
import { keepCacheSetting, run } from "./support.ts";

const hub = useHub();
const restoreCache = keepCacheSetting();
const scratch = new Scratch();
beforeAll(() => scratch.open());
afterAll(async () => {
  for (const name of ["HF_ENDPOINT", "HF_HUB_CACHE"]) delete process.env[name];
  restoreCache();
  await scratch.close();
});

const rows = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => JSON.stringify({ prompt: `${from + i}+1`, answer: String(from + i + 1) })).join("\n");

test("--model ORG/NAME --data ORG/NAME/FOLDER", async () => {
  const { tokenizer } = arithmeticTask();
  const dir = await makeModel(join(scratch.dir, "model"), tokenizer, tokenizer.vocabSize);
  const files = readdirSync(dir).map((path) => ({ path, bytes: readFileSync(join(dir, path)), lfs: path.endsWith(".safetensors") }));
  const data = [text("main/train-0.jsonl", rows(0, 30)), text("main/test-0.jsonl", rows(25, 20)), text("other/train-0.jsonl", rows(500, 5))];
  hub.server.repos.push({ type: "model", name: "org/tiny", commit: COMMIT, files }, { type: "dataset", name: "org/sums", commit: COMMIT, files: data });
  Object.assign(process.env, { HF_ENDPOINT: hub.server.url, HF_HUB_CACHE: hub.cacheDir, PRIMEKIT_CACHE: join(scratch.dir, "cache") });
  const runs = join(scratch.dir, "runs");
  const args = [
    ["--runs", runs, "--run", "hub", "--model", "org/tiny", "--data", "org/sums/main", "--data.heldOut", "org/sums/main", "--verifier", "arithmetic"],
    ["--model.dtype", "float32", "--steps", "1", "--maxNewTokens", "4", "--promptsPerStep", "2", "--samplesPerPrompt", "2", "--evalProblems", "2"],
  ].flat();
  const ended = await run(args);
  expect(ended.code, ended.stderr).toBe(0);
  expect(ended.stderr).toContain("read as plain, 30 rows: 25 to train on, 5 left out as held-out questions\n");
  expect(ended.stderr).toContain("read as plain, 20 rows: 20 held out\n");
  const { resolved } = JSON.parse(readFileSync(join(runs, "hub", "config.json"), "utf8"));
  expect(resolved.model).toEndWith(COMMIT);
  expect(resolved.data).toEndWith(`${COMMIT}/main`);

  const unknown = await run(["--runs", join(scratch.dir, "none"), "--model", "org/tiny", "--data", "org/nothing", "--verifier", "arithmetic"]);
  expect(unknown.code).not.toBe(0);
  expect(unknown.stderr).toMatch(/^primekit: .*org\/nothing.*\n$/);
  expect(existsSync(join(scratch.dir, "none"))).toBe(false);

  hub.server.stop();
  const resumed = await run(["--runs", runs, "--resume", "hub", "--steps", "2"]);
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(existsSync(join(runs, "hub", "checkpoints", "step-000002"))).toBe(true);
}, 120_000);
