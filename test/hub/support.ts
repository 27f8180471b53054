// A model and a dataset on the hub of hub_server.ts, and a cache of one's own for each test.
import { afterAll, beforeAll, beforeEach } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HubOptions } from "../../ts/hub/settings.ts";
import { type HubFile, HubServer } from "./hub_server.ts";

export const COMMIT = "1234567890abcdef1234567890abcdef12345678";
export const WEIGHTS = pseudoRandom(300_000);

/** Bytes that look random and are always the same. */
export function pseudoRandom(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  let x = seed;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

export const text = (path: string, content: string): HubFile => ({ path, bytes: Buffer.from(content), lfs: false });
export const large = (path: string, bytes: Buffer): HubFile => ({ path, bytes, lfs: true });

export interface Fixture {
  server: HubServer;
  cacheDir: string;
  options: HubOptions;
}

/** A fresh server with org/model and org/data, and a fresh cache, before each test. */
export function useHub(): Fixture {
  const fixture = {} as Fixture;
  const root = mkdtempSync(join(tmpdir(), "primekit-hub-"));
  let count = 0;
  const saved: Record<string, string | undefined> = {};
  beforeAll(() => {
    for (const name of Object.keys(process.env).filter((key) => key.startsWith("HF_"))) {
      saved[name] = process.env[name];
      delete process.env[name];
    }
    process.env.HF_HOME = join(root, "home"); // the tests must not see the token of whoever runs them
  });
  beforeEach(async () => {
    fixture.server?.stop();
    fixture.server = await HubServer.start();
    fixture.cacheDir = join(root, `cache-${count++}`);
    fixture.options = { endpoint: fixture.server.url, cacheDir: fixture.cacheDir, retryDelayMs: 1, timeoutMs: 5000 };
    fixture.server.repos.push(
      {
        type: "model",
        name: "org/model",
        commit: COMMIT,
        files: [
          text("README.md", "a model"),
          text("config.json", '{"model_type":"qwen2"}'),
          text("tokenizer.json", "{}"),
          text("tokenizer_config.json", '{"eos_token":"x"}'),
          large("model.safetensors", WEIGHTS),
          large("pytorch_model.bin", pseudoRandom(1000, 2)),
          large("onnx/model.onnx", pseudoRandom(1000, 3)),
        ],
      },
      {
        type: "dataset",
        name: "org/data",
        commit: COMMIT.replace("1", "2"),
        revisions: { "refs/convert/parquet": COMMIT.replace("1", "3") },
        files: [
          text("README.md", "data"),
          text("dataset_infos.json", "{}"),
          large("main/train-00000-of-00001.parquet", pseudoRandom(5000, 4)),
          large("main/test-00000-of-00001.parquet", pseudoRandom(4000, 5)),
          text("extra.jsonl", '{"a":1}\n'),
        ],
      },
    );
  });
  afterAll(() => {
    fixture.server?.stop();
    delete process.env.HF_HOME;
    for (const [name, value] of Object.entries(saved)) process.env[name] = value;
    rmSync(root, { recursive: true, force: true });
  });
  return fixture;
}
