// Downloads that go wrong: cuts, silence, limits, wrong bytes, full disks, two at once, and a killed process.
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { retryAfterMs } from "../../ts/hub/http.ts";
import { resolveModel } from "../../ts/hub/resolve.ts";
import { sha256 } from "./hub_server.ts";
import { useHub, WEIGHTS } from "./support.ts";

const hub = useHub();
const FILE = "model.safetensors";
const SUM = sha256(WEIGHTS);

const blobs = () => join(hub.cacheDir, "models--org--model", "blobs");
const parts = () => readdirSync(blobs()).filter((name) => name.includes("incomplete"));
const ranges = () => hub.server.downloads(FILE).map(({ range }) => range);
const isRight = (dir: string) => readFileSync(join(dir, FILE)).equals(WEIGHTS);

async function failure(options = {}): Promise<{ code: string; message: string }> {
  const error = await resolveModel("org/model", { ...hub.options, ...options }).then(
    () => expect.unreachable("it succeeded"),
    (e) => e,
  );
  return { code: error.code, message: error.message };
}

describe("a broken connection", () => {
  test("is resumed where it broke off, as often as it takes", async () => {
    hub.server.faults = [{ match: SUM, times: 12, cutAfter: 20_000 }]; // more cuts than fruitless tries are allowed
    expect(isRight(await resolveModel("org/model", hub.options))).toBe(true);
    const starts = ranges().map((range) => Number(/bytes=(\d+)-/.exec(range ?? "")?.[1] ?? 0));
    expect(starts.length).toBeGreaterThan(8);
    expect(starts.every((start, i) => i === 0 || start >= starts[i - 1])).toBe(true);
  });

  test("that brings nothing any more is given up, and the next call goes on from there", async () => {
    hub.server.faults = [
      { match: SUM, times: 1, cutAfter: 50_000 },
      { match: SUM, times: 99, cutAfter: 0 },
    ];
    const { code, message } = await failure();
    expect(code).toBe("ERR_HUB_UNAVAILABLE");
    expect(message).toMatch(/^The file model\.safetensors of org\/model keeps breaking off after \d+ of 300000 bytes|cannot be reached/);
    expect(parts()).toEqual([`${SUM}.free.incomplete`]);
    expect(existsSync(join(hub.cacheDir, "models--org--model", "snapshots"))).toBe(false); // nothing is shown before all is there
    hub.server.faults = [];
    hub.server.seen = [];
    expect(isRight(await resolveModel("org/model", hub.options))).toBe(true);
    expect(ranges()).toEqual([expect.stringMatching(/^bytes=[1-9]\d+-$/)]);
    expect(parts()).toEqual([]);
  });

  test("silence counts as one", async () => {
    hub.server.faults = [{ match: SUM, times: 1, hang: true }];
    expect(isRight(await resolveModel("org/model", { ...hub.options, timeoutMs: 800 }))).toBe(true);
    expect(ranges()).toEqual([undefined, "bytes=1000-"]);
  });

  test("in a listing", async () => {
    hub.server.faults = [{ match: "/tree/", times: 2, cutAfter: 0 }];
    expect(isRight(await resolveModel("org/model", hub.options))).toBe(true);
  });

  test("is told from an answer that is no hub's", async () => {
    hub.server.faults = [{ match: "/revision/", times: 1, status: 200, headers: { "content-type": "text/html" } }];
    const { code, message } = await failure();
    expect(code).toBe("ERR_HUB");
    expect(message).toMatch(
      /^http\S+ answered with something that is no JSON \("a fault that was asked for"…\): is that a hub \(HF_ENDPOINT\), or the page of a/,
    );
  });

  test("a server without ranges sends all of it again", async () => {
    hub.server.faults = [
      { match: SUM, times: 1, cutAfter: 100_000 },
      { match: SUM, times: 1, ignoreRange: true },
    ];
    expect(isRight(await resolveModel("org/model", hub.options))).toBe(true);
    expect(ranges()).toHaveLength(2);
  });

  test("what a killed process left is completed; another tool's and another machine's is left alone", async () => {
    mkdirSync(blobs(), { recursive: true });
    const dead = `${SUM}.${hostname()}-999999999-1.incomplete`;
    const others = [`${SUM}.incomplete`, `${SUM}.elsewhere-1-1.incomplete`];
    writeFileSync(join(blobs(), dead), WEIGHTS.subarray(0, 123_456));
    for (const name of others) writeFileSync(join(blobs(), name), "not ours");
    expect(isRight(await resolveModel("org/model", hub.options))).toBe(true);
    expect(ranges()).toEqual(["bytes=123456-"]);
    expect(parts().sort()).toEqual(others.sort());
  });
});

describe("the bytes are verified", () => {
  test("a wrong checksum, of a large file or a small one: removed, and right the next time", async () => {
    for (const [i, match] of ["/config.json", SUM].entries()) {
      const cacheDir = `${hub.cacheDir}-${i}`;
      hub.server.faults = [{ match, times: 1, corrupt: true }];
      const { code, message } = await failure({ cacheDir });
      expect(code).toBe("ERR_HUB_CHECKSUM");
      expect(message).toMatch(/^The file \S+ of org\/model came with a wrong checksum \([0-9a-f]+, expected [0-9a-f]+\); it was removed\. Try again\.$/);
      const left = readdirSync(join(cacheDir, "models--org--model", "blobs"));
      expect(left.filter((name) => name.startsWith(message.split("expected ")[1].split(")")[0]))).toEqual([]);
      expect(isRight(await resolveModel("org/model", { ...hub.options, cacheDir }))).toBe(true);
    }
  });

  test("wrong bytes in what an earlier try left are found, too", async () => {
    mkdirSync(blobs(), { recursive: true });
    writeFileSync(join(blobs(), `${SUM}.free.incomplete`), Buffer.alloc(1000));
    expect((await failure()).code).toBe("ERR_HUB_CHECKSUM");
    expect(isRight(await resolveModel("org/model", hub.options))).toBe(true);
  });

  test("a file that ends early, cleanly, every time", async () => {
    hub.server.faults = [{ match: SUM, times: 99, shorten: 1000 }];
    const { code, message } = await failure();
    expect(code).toBe("ERR_HUB_UNAVAILABLE");
    expect(message).toBe(
      "The file model.safetensors of org/model keeps breaking off after 299000 of 300000 bytes; what came is kept, and the next try goes on from there.",
    );
    hub.server.faults = [];
    expect(isRight(await resolveModel("org/model", hub.options))).toBe(true);
  });
});

describe("limits and outages", () => {
  test("429 waits as long as Retry-After says", async () => {
    hub.server.faults = [{ match: "/revision/", times: 1, status: 429, headers: { "retry-after": "1" } }];
    const notes: string[] = [];
    await resolveModel("org/model", { ...hub.options, onNote: (note) => notes.push(note) });
    const [first, second] = hub.server.seen.filter(({ url }) => url.includes("/revision/"));
    expect(second.at - first.at).toBeGreaterThan(950);
    expect(notes).toEqual(["The hub asks to wait 1 s."]);
  });

  test("429 that asks for an hour is not waited for", async () => {
    hub.server.faults = [{ match: "/revision/", times: 1, status: 429, headers: { "retry-after": "3600" } }];
    const { code, message } = await failure();
    expect(code).toBe("ERR_HUB_UNAVAILABLE");
    expect(message).toMatch(/^The hub asks to wait \(status 429, too many requests\) for http\S+; given up after 1 tries\.$/);
  });

  test("Retry-After as a date, and the hub's own header", () => {
    const now = Date.parse("2026-01-01T00:00:00Z");
    const after = (headers: Record<string, string>) => retryAfterMs(new Headers(headers), now);
    expect(after({ "retry-after": "Thu, 01 Jan 2026 00:00:07 GMT" })).toBe(7000);
    expect(after({ "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT" })).toBe(0);
    expect(after({ ratelimit: '"api";r=0;t=42' })).toBe(42_000);
    expect(after({ "retry-after": "soon" })).toBeUndefined();
  });

  test("5xx is tried again, at the hub and where the file lies, and in the end given up", async () => {
    hub.server.faults = [
      { match: "/tree/", times: 2, status: 503 },
      { match: SUM, times: 2, status: 500 },
    ];
    expect(isRight(await resolveModel("org/model", hub.options))).toBe(true);
    hub.server.faults = [{ match: "/revision/", times: 99, status: 502 }];
    const { code, message } = await failure({ cacheDir: `${hub.cacheDir}-none` });
    expect([code, message]).toEqual(["ERR_HUB_UNAVAILABLE", expect.stringMatching(/^The hub is failing: status 502 for http\S+, 6 times in a row\.$/)]);
  });
});

describe("one file, several downloads", () => {
  test("at once in a process: fetched once", async () => {
    hub.server.faults = [{ match: SUM, times: 2, cutAfter: 50_000 }];
    const dirs = await Promise.all(Array.from({ length: 4 }, () => resolveModel("org/model", hub.options)));
    expect(dirs.every(isRight)).toBe(true);
    expect(ranges().length).toBeLessThanOrEqual(3); // one download with two cuts
  });

  test("in several processes: each has the right file in the end", async () => {
    hub.server.faults = [{ match: SUM, times: 2, cutAfter: 100_000 }];
    const program = `const { resolveModel } = await import(${JSON.stringify(join(import.meta.dir, "../../ts/hub/resolve.ts"))});
      console.log(await resolveModel("org/model", { retryDelayMs: 1 }));`;
    const env = { ...process.env, HF_ENDPOINT: hub.server.url, HF_HUB_CACHE: hub.cacheDir };
    const children = Array.from({ length: 3 }, () => Bun.spawn([process.execPath, "-e", program], { env, stdout: "pipe", stderr: "pipe" }));
    for (const child of children) {
      const [output, errors, status] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
      expect(status, errors).toBe(0);
      expect(isRight(output.trim())).toBe(true);
    }
    expect(parts()).toEqual([]);
  }, 30_000);
});

describe("stopped", () => {
  test("by a signal in the middle: its reason, at once, and nothing lost", async () => {
    const controller = new AbortController();
    hub.server.faults = [{ match: SUM, times: 1, hang: true }];
    const reason = new Error("enough");
    const onProgress = ({ file, done }: { file: string; done: number }) => void (file === FILE && done >= 1000 && controller.abort(reason));
    const began = performance.now();
    const error = await resolveModel("org/model", { ...hub.options, signal: controller.signal, onProgress }).catch((e) => e);
    expect(error).toBe(reason);
    expect(performance.now() - began).toBeLessThan(2000);
    hub.server.seen = [];
    expect(isRight(await resolveModel("org/model", hub.options))).toBe(true);
    expect(ranges()).toEqual(["bytes=1000-"]);
    expect(resolveModel("org/model", { ...hub.options, signal: controller.signal })).rejects.toBe(reason);
  });

  test("by a full disk", async () => {
    if (!existsSync("/dev/full")) return console.log("skipped: this system has no /dev/full");
    mkdirSync(blobs(), { recursive: true });
    symlinkSync("/dev/full", join(blobs(), `${SUM}.free.incomplete`));
    const { code, message } = await failure();
    expect(code).toBe("ERR_IO");
    expect(message).toBe(
      `The cache ${hub.cacheDir} cannot be written: the disk is full. What was downloaded so far is kept; HF_HOME or HF_HUB_CACHE can place it elsewhere.`,
    );
  });

  test("before it begins, where it would not fit", async () => {
    const { files } = hub.server.repos[0];
    const weights = files.find(({ path }) => path === FILE);
    if (weights) weights.listedSize = 9e15;
    const { code, message } = await failure();
    expect(code).toBe("ERR_IO");
    expect(message).toMatch(/^The download needs 9000000\.0 GB, but \S+ has [\d.]+ GB free\. Make room, or set HF_HOME or HF_HUB_CACHE to another disk\.$/);
    expect(ranges()).toEqual([]);
  });
});
