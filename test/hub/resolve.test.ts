// Models and datasets by id: what is downloaded, where it lies, and what is said when it cannot be had.
import { describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { resolveDataset, resolveModel } from "../../ts/hub/resolve.ts";
import type { HubProgress } from "../../ts/hub/settings.ts";
import { gitSha, sha256, TOKEN } from "./hub_server.ts";
import { COMMIT, large, pseudoRandom, text, useHub, WEIGHTS } from "./support.ts";

const hub = useHub();

const filesIn = (dir: string) =>
  readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((name) => !lstatSync(join(dir, name)).isDirectory())
    .sort();

async function failureOf(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await work.then(
    () => expect.unreachable("it succeeded"),
    (e) => e,
  );
  return { code: error.code, message: error.message };
}

describe("a model", () => {
  test("lies in the standard cache layout, with what loading needs and nothing else", async () => {
    const dir = await resolveModel("org/model", hub.options);
    const repo = join(hub.cacheDir, "models--org--model");
    expect(dir).toBe(join(repo, "snapshots", COMMIT));
    expect(filesIn(dir)).toEqual(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
    expect(readFileSync(join(dir, "model.safetensors")).equals(WEIGHTS)).toBe(true);
    expect(readFileSync(join(repo, "refs", "main"), "utf8")).toBe(COMMIT);
    expect(readlinkSync(join(dir, "model.safetensors"))).toBe(join("..", "..", "blobs", sha256(WEIGHTS)));
    expect(readlinkSync(join(dir, "config.json"))).toBe(join("..", "..", "blobs", gitSha(readFileSync(join(dir, "config.json")))));
    expect(readdirSync(join(repo, "blobs")).some((name) => name.endsWith(".incomplete"))).toBe(false);
  });

  test("is not downloaded a second time; a commit in the cache is not even looked up", async () => {
    await resolveModel("org/model", hub.options);
    hub.server.seen = [];
    await resolveModel("org/model", hub.options);
    expect(hub.server.seen.every(({ url }) => url.startsWith("/api/"))).toBe(true);
    hub.server.seen = [];
    expect(await resolveModel("org/model", { ...hub.options, revision: COMMIT })).toContain(COMMIT);
    expect(hub.server.seen).toEqual([]);
  });

  test("in a cache that is complete and read-only is found, too", async () => {
    const dir = await resolveModel("org/model", hub.options);
    const before = lstatSync(join(dir, "config.json")).ctimeMs;
    const refs = lstatSync(join(hub.cacheDir, "models--org--model", "refs")).mtimeMs;
    expect(await resolveModel("org/model", hub.options)).toBe(dir);
    expect(lstatSync(join(dir, "config.json")).ctimeMs).toBe(before); // root may write anything, so it is looked for what was written
    expect(lstatSync(join(hub.cacheDir, "models--org--model", "refs")).mtimeMs).toBe(refs);
  });

  test("in shards: those that the index names, over several pages of the listing", async () => {
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const files = [
      text("config.json", "{}"),
      text("model.safetensors.index.json", JSON.stringify({ weight_map: { a: shards[0], b: shards[1], c: shards[1] } })),
      ...shards.map((path, i) => large(path, pseudoRandom(2000, i + 7))),
      large("model-00003-of-00003.safetensors", pseudoRandom(100, 9)),
      ...Array.from({ length: 8 }, (_, i) => text(`notes/${i}.md`, `${i}`)),
    ];
    hub.server.repos.push({ type: "model", name: "org/sharded", commit: COMMIT, files });
    const dir = await resolveModel("org/sharded", hub.options);
    expect(filesIn(dir)).toEqual(["config.json", ...shards, "model.safetensors.index.json"]);
    files.splice(3, 1);
    const options = { ...hub.options, cacheDir: `${hub.cacheDir}-b` };
    expect((await failureOf(resolveModel("org/sharded", options))).message).toContain(`names ${shards[1]}, but there is no such file`);
  });

  test("of a revision with a slash in its name", async () => {
    const repo = hub.server.repos[0];
    repo.revisions = { "pr/7": COMMIT.replace("1", "9") };
    expect(await resolveModel("org/model", { ...hub.options, revision: "pr/7" })).toEndWith(COMMIT.replace("1", "9"));
    expect(readFileSync(join(hub.cacheDir, "models--org--model", "refs", "pr", "7"), "utf8")).toBe(COMMIT.replace("1", "9"));
    const { code, message } = await failureOf(resolveModel("org/model", { ...hub.options, revision: "v2" }));
    expect([code, message]).toEqual(["ERR_HUB_NOT_FOUND", `The model org/model on ${hub.server.url} has no revision "v2".`]);
  });

  test("under an old name is found where the hub says that it moved", async () => {
    expect(filesIn(await resolveModel("short-name", hub.options).catch((error) => expect.unreachable(error.message)))).toContain("config.json");
  });

  test("that is a folder already is taken as it is, before the hub is asked", async () => {
    mkdirSync(hub.cacheDir, { recursive: true });
    expect(await resolveModel(hub.cacheDir, hub.options)).toBe(hub.cacheDir);
    const { code, message } = await failureOf(resolveModel("./no/such/folder", hub.options));
    expect([code, message]).toEqual(["ERR_IO", "The model ./no/such/folder does not exist; give a folder, or the id of a model on the hub (ORG/NAME)."]);
    expect(hub.server.seen).toEqual([]);
    expect(resolveModel("", hub.options)).rejects.toThrow(TypeError);
  });

  test("progress counts the bytes of all files, up to the total", async () => {
    const steps: HubProgress[] = [];
    await resolveModel("org/model", { ...hub.options, onProgress: (step) => steps.push(step) });
    const last = steps.at(-1);
    expect(last?.done).toBe(last?.total as number);
    expect(last?.total).toBe(WEIGHTS.length + 22 + 2 + 17);
    expect(steps.every(({ done }, i) => i === 0 || done >= steps[i - 1].done)).toBe(true);
    const again: HubProgress[] = [];
    await resolveModel("org/model", { ...hub.options, onProgress: (step) => again.push(step) });
    expect(again.at(-1)).toMatchObject({ done: last?.total, total: last?.total });
  });

  test("without safetensors is refused with what it has instead", async () => {
    hub.server.repos[0].files = hub.server.repos[0].files.filter(({ path }) => path !== "model.safetensors");
    const { code, message } = await failureOf(resolveModel("org/model", hub.options));
    expect(code).toBe("ERR_HUB_NOT_FOUND");
    expect(message).toContain("has neither model.safetensors nor model.safetensors.index.json (it has pytorch_model.bin, onnx/model.onnx)");
  });
});

describe("a dataset", () => {
  test("its data files, not its descriptions", async () => {
    const dir = await resolveDataset("org/data", hub.options);
    expect(dir).toContain("datasets--org--data");
    expect(filesIn(dir)).toEqual(["extra.jsonl", "main/test-00000-of-00001.parquet", "main/train-00000-of-00001.parquet"]);
  });

  test("or those that patterns name", async () => {
    expect(filesIn(await resolveDataset("org/data", { ...hub.options, files: ["main/train-*"] }))).toEqual(["main/train-00000-of-00001.parquet"]);
    const { code, message } = await failureOf(resolveDataset("org/data", { ...hub.options, files: ["extra.json"] }));
    expect([code, message]).toEqual(["ERR_HUB_NOT_FOUND", "The dataset org/data has no file extra.json. Did you mean extra.jsonl?"]);
  });

  test("or one folder of it", async () => {
    const dir = await resolveDataset("org/data/main", hub.options);
    expect(filesIn(dir)).toEqual(["test-00000-of-00001.parquet", "train-00000-of-00001.parquet"]);
    expect(await resolveDataset("org/data/main", { ...hub.options, offline: true })).toBe(dir);
    expect((await failureOf(resolveDataset("org/data/other", { ...hub.options, offline: true }))).message).toContain("lacks data files");
    const { code, message } = await failureOf(resolveDataset("org/data/other", hub.options));
    expect([code, message]).toEqual(["ERR_HUB_NOT_FOUND", expect.stringContaining("The dataset org/data/other has no Parquet, JSON")]);
    expect((await failureOf(resolveDataset("some/own/rows.jsonl", hub.options))).message).toStartWith("The dataset some/own/rows.jsonl does not exist");
  });

  test("in a form that is not read: the hub's Parquet copy is pointed to", async () => {
    hub.server.repos[1].files = [text("data.py", "")];
    expect((await failureOf(resolveDataset("org/data", hub.options))).message).toContain('try the revision "refs/convert/parquet"');
  });

  test("may be a single file on the disk", async () => {
    mkdirSync(hub.cacheDir, { recursive: true });
    const file = join(hub.cacheDir, "rows.jsonl");
    writeFileSync(file, "{}\n");
    expect(await resolveDataset(file)).toBe(file);
    expect((await failureOf(resolveModel(file))).message).toContain("is a file, not a folder");
  });
});

describe("who may", () => {
  test("a gated model: where to accept and where the token goes", async () => {
    hub.server.repos[0].access = "gated";
    const { code, message } = await failureOf(resolveModel("org/model", hub.options));
    expect(code).toBe("ERR_HUB_ACCESS");
    expect(message).toContain(
      `The model org/model is gated (status 401): accept its terms at ${hub.server.url}/org/model, then set HF_TOKEN or write a token to `,
    );
    expect(await resolveModel("org/model", { ...hub.options, token: TOKEN })).toContain(COMMIT);
  });

  test("the token comes from HF_TOKEN or the token file, and goes to the hub alone", async () => {
    hub.server.repos[0].access = "private";
    const home = process.env.HF_HOME as string;
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, "token"), `${TOKEN}\n`);
    await resolveModel("org/model", hub.options);
    const [toHub, toCdn] = (["hub", "cdn"] as const).map((host) => hub.server.seen.filter((request) => request.host === host));
    expect(toHub.every(({ authorization }) => authorization === `Bearer ${TOKEN}`)).toBe(true);
    expect(toCdn.length).toBeGreaterThan(0);
    expect(toCdn.every(({ authorization }) => authorization === undefined)).toBe(true);
    process.env.HF_TOKEN = "a wrong one, and of no known form";
    const { code, message } = await failureOf(resolveModel("org/model", hub.options));
    delete process.env.HF_TOKEN;
    rmSync(join(home, "token"));
    expect([code, message]).toEqual(["ERR_HUB_ACCESS", expect.stringContaining("(status 401): the token in use is invalid or has no right to it")]);
  });

  test("an unknown name: the nearest on the hub", async () => {
    const missing = await failureOf(resolveModel("orgg/model", hub.options)); // without a token the hub answers 401
    expect(missing.code).toBe("ERR_HUB_ACCESS");
    expect(missing.message).toContain("it does not exist, or it is private");
    expect(missing.message).toEndWith("There is no folder orgg/model here, either. Did you mean org/model?");
    const known = await failureOf(resolveDataset("dat", { ...hub.options, token: TOKEN }));
    expect(known.code).toBe("ERR_HUB_NOT_FOUND");
    expect(known.message).toBe(`There is no dataset dat on ${hub.server.url}. There is no folder dat here, either.`);
  });

  test("a file that vanished between listing and download is named", async () => {
    hub.server.faults = [{ match: "/resolve/", times: 99, status: 404, headers: { "x-error-code": "EntryNotFound" } }];
    const { code, message } = await failureOf(resolveModel("org/model", hub.options));
    expect(code).toBe("ERR_HUB_NOT_FOUND");
    expect(message).toMatch(/^The model org\/model on http\S+ has no file (config|tokenizer|tokenizer_config)\.json \(revision main\)\.|model\.safetensors/);
  });

  test("names that would leave the cache are refused", async () => {
    for (const path of ["../../evil.json", "/etc/evil.json", "a/../../evil.json", "C:evil.json", "a\\b.json"]) {
      hub.server.repos[1].files = [text(path, "x")];
      expect(await failureOf(resolveDataset("org/data", hub.options))).toEqual({
        code: "ERR_HUB",
        message: `The dataset org/data has a file named ${JSON.stringify(path)}, which is refused.`,
      });
    }
  });
});

describe("offline", () => {
  test("with a copy, nothing is asked; without one, it is said", async () => {
    const offline = { ...hub.options, offline: true };
    const { code, message } = await failureOf(resolveModel("org/model", offline));
    expect(code).toBe("ERR_HUB_OFFLINE");
    expect(message).toBe(
      `The model org/model cannot be had offline (HF_HUB_OFFLINE): ${hub.cacheDir} has no copy of it (revision main). Download it once with a connection.`,
    );
    await resolveModel("org/model", hub.options);
    await resolveDataset("org/data", hub.options);
    hub.server.seen = [];
    process.env.HF_HUB_OFFLINE = "1";
    expect(await resolveModel("org/model", hub.options)).toContain(COMMIT);
    expect(filesIn(await resolveDataset("org/data", hub.options))).toHaveLength(3);
    delete process.env.HF_HUB_OFFLINE;
    expect(hub.server.seen).toEqual([]);
  });

  test("a copy without its weights is no copy", async () => {
    const dir = await resolveModel("org/model", hub.options);
    rmSync(join(dir, "model.safetensors"));
    expect((await failureOf(resolveModel("org/model", { ...hub.options, offline: true }))).message).toContain("lacks model.safetensors");
  });

  test("a hub that is down: the copy is used, with a note; without a copy, an error", async () => {
    const options = { ...hub.options, endpoint: "http://127.0.0.1:9", onNote: (sentence: string) => notes.push(sentence) };
    const notes: string[] = [];
    const { code, message } = await failureOf(resolveModel("org/model", options));
    expect(code).toBe("ERR_HUB_UNAVAILABLE");
    expect(message).toStartWith("The hub at http://127.0.0.1:9 cannot be reached (6 tries; the last: ");
    expect(message).toEndWith(" There is no folder org/model here, either.");
    await resolveModel("org/model", hub.options);
    expect(await resolveModel("org/model", options)).toContain(COMMIT);
    expect(notes.at(-1)).toEndWith("The copy of org/model in the cache is used, which may not be the latest.");
  });

  test("the cache of the environment is used, and a wrong endpoint named", async () => {
    process.env.HF_HUB_CACHE = `${hub.cacheDir}-env`;
    process.env.HF_ENDPOINT = hub.server.url;
    expect(await resolveModel("org/model")).toStartWith(`${hub.cacheDir}-env`);
    process.env.HF_ENDPOINT = "huggingface.co";
    const { code, message } = await failureOf(resolveModel("org/model"));
    delete process.env.HF_ENDPOINT;
    delete process.env.HF_HUB_CACHE;
    expect(await resolveModel("org/model", { ...hub.options, cacheDir: undefined })).toStartWith(dirname(process.env.HF_HOME as string));
    expect([code, message]).toEqual(["ERR_CONFIG", 'The hub\'s address (HF_ENDPOINT) must be an http or https URL, but got "huggingface.co".']);
  });
});
