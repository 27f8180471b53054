// A model from the hub loads from the cache, where every file is a link into the blobs.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { resolveModel } from "../../ts/hub/resolve.ts";
import { Model } from "../../ts/model.ts";
import { COMMIT, useHub } from "./support.ts";

const hub = useHub();

test("resolveModel() hands out what Model.load() takes", async () => {
  const source = join(import.meta.dir, "..", "fixtures", "qwen2_tied");
  const files = readdirSync(source).map((path) => ({ path, bytes: readFileSync(join(source, path)), lfs: path.endsWith(".safetensors") }));
  hub.server.repos.push({ type: "model", name: "org/tiny", commit: COMMIT, files });
  const dir = await resolveModel("org/tiny", hub.options);
  expect(readdirSync(dir).sort()).toEqual(["config.json", "model.safetensors"]);
  using model = await Model.load(dir, { dtype: "float32" });
  using original = await Model.load(source, { dtype: "float32" });
  const batch = { tokens: Int32Array.of(1, 2, 3, 4), offsets: Int32Array.of(0, 4) };
  expect((await model.logprobs(batch)).logprobs).toEqual((await original.logprobs(batch)).logprobs);
});
