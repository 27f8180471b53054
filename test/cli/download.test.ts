// `primekit download` as a user runs it, against a hub on this machine.
import { describe, expect, test } from "bun:test";
import { PassThrough } from "node:stream";
import { bytes, createDownloadProgress } from "../../ts/cli/hub_progress.ts";
import { COMMIT, useHub, WEIGHTS } from "../hub/support.ts";
import { ROOT } from "./support.ts";

const hub = useHub();

async function download(...args: string[]) {
  const env = { ...process.env, HF_ENDPOINT: hub.server.url, HF_HUB_CACHE: hub.cacheDir, NO_COLOR: "1" };
  const child = Bun.spawn([process.execPath, "ts/cli/bin.ts", "download", ...args], { cwd: ROOT, env, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { stdout, stderr, code };
}

describe("primekit download", () => {
  test("prints the folder; a second time nothing is downloaded or said", async () => {
    const first = await download("--model", "org/model");
    expect(first.code, first.stderr).toBe(0);
    expect(first.stdout.trim()).toEndWith(COMMIT);
    expect(first.stderr).toContain(`Downloading: 300 kB of ${bytes(WEIGHTS.length + 41)}`);
    expect(await download("--model", "org/model")).toEqual({ ...first, stderr: "" });
    const data = await download("--data", "org/data", "--files", "main/test-*,extra.jsonl");
    expect(data.code, data.stderr).toBe(0);
  }, 30_000);

  test("failures are one line", async () => {
    expect(await download()).toMatchObject({ code: 2, stderr: "primekit: Give either --model or --data, the id of what to download.\n" });
    const { code, stderr } = await download("--data", "org/dat");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^primekit: The hub refused access to the dataset org\/dat .* Did you mean org\/data\?\n$/);
  }, 30_000);
});

test("the bar shows bytes, pace and time left", () => {
  const pieces: string[] = [];
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 200, rows: 30, cursorTo: () => true, clearLine: () => true });
  stream.on("data", (piece) => pieces.push(String(piece)));
  let now = 0;
  const progress = createDownloadProgress(stream as never, () => now);
  progress.onProgress({ done: 0, total: 4e9, file: "model.safetensors" });
  now = 10_000;
  progress.onProgress({ done: 1e9, total: 4e9, file: "model.safetensors" });
  progress.stop();
  expect(pieces.join("")).toContain("1.0 GB of 4.0 GB · 100 MB/s · 0:30 left · model.safetensors");
});
