import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { processStamp } from "../../ts/process_stamp.ts";
import { writeFileAtomic } from "../../ts/run/io.ts";
import { listRuns, RunFolder } from "../../ts/run/run_folder.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "primekit-run-"));
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

const writeModel = (content: string) => async (dir: string) => {
  await mkdir(join(dir, "policy"));
  await writeFile(join(dir, "policy", "model.safetensors"), content);
};

describe("a run folder", () => {
  test("holds the configuration, metrics, rollouts and checkpoints, and opens again", async () => {
    const run = await RunFolder.create(root, "a", { lr: 0.5 });
    await run.appendMetrics({ step: 1, loss: 0.25 });
    await run.writeRollouts(1, [{ text: "x" }, { text: "y" }]);
    const dir = await run.saveCheckpoint(1, { position: 7 }, writeModel("weights"));
    expect(dir).toBe(join(root, "a", "checkpoints", "step-000001"));
    expect((await readdir(dir)).sort()).toEqual(["manifest.json", "policy", "state.json"]);
    expect(await readFile(join(root, "a", "latest"), "utf8")).toBe("checkpoints/step-000001\n");
    expect(await readFile(join(root, "a", "rollouts", "step-000001.jsonl"), "utf8")).toBe('{"text":"x"}\n{"text":"y"}\n');

    const again = await RunFolder.open(join(root, "a"));
    expect(again.config).toEqual({ lr: 0.5 });
    expect(await again.readMetrics()).toEqual([{ step: 1, loss: 0.25 }]);
    expect(await again.newestCheckpoint()).toEqual({ step: 1, dir, state: { position: 7 }, skipped: [] });
  });

  test("without checkpoints has no newest one", async () => {
    const run = await RunFolder.create(root, "a", {});
    expect(await run.newestCheckpoint()).toBeUndefined();
  });

  test("keeps the newest two checkpoints, or as many as asked", async () => {
    const run = await RunFolder.create(root, "a", {}, { keep: 3 });
    for (const step of [1, 2, 3, 4, 5]) await run.saveCheckpoint(step, {}, writeModel("w"));
    expect((await readdir(join(run.dir, "checkpoints"))).sort()).toEqual(["step-000003", "step-000004", "step-000005"]);
  });

  test("saves the same step twice", async () => {
    const run = await RunFolder.create(root, "a", {});
    await run.saveCheckpoint(1, { n: 1 }, writeModel("one"));
    await run.saveCheckpoint(1, { n: 2 }, writeModel("two"));
    expect((await run.newestCheckpoint())?.state).toEqual({ n: 2 });
    expect(await readdir(join(run.dir, "checkpoints"))).toEqual(["step-000001"]);
  });

  test("rows and rollouts after a step are dropped, and so is a torn last line", async () => {
    const run = await RunFolder.create(root, "a", {});
    for (const step of [1, 2, 3]) {
      await run.appendMetrics({ step, loss: step / 3 });
      await run.writeRollouts(step, [{ step }]);
    }
    const unbroken = await readFile(join(run.dir, "metrics.jsonl"), "utf8");
    await appendFile(join(run.dir, "metrics.jsonl"), '{"step":4,"lo');
    await run.truncateMetricsAfter(2);
    expect((await run.readMetrics()).map((row) => row.step)).toEqual([1, 2]);
    expect((await readdir(join(run.dir, "rollouts"))).sort()).toEqual(["step-000001.jsonl", "step-000002.jsonl"]);
    await run.appendMetrics({ step: 3, loss: 3 / 3 });
    expect(await readFile(join(run.dir, "metrics.jsonl"), "utf8")).toBe(unbroken);
  });

  test("an evaluation of the last step that the checkpoint does not know of is dropped, as it will be repeated", async () => {
    const run = await RunFolder.create(root, "a", {});
    const rows: Record<string, number>[] = [
      { step: 1, "eval/accuracy": 0.5 },
      { step: 2, loss: 1 },
      { step: 2, "eval/accuracy": 0.6 },
    ];
    for (const row of rows) await run.appendMetrics(row);
    await run.truncateMetricsAfter(2);
    expect(await run.readMetrics()).toEqual(rows);
    await run.truncateMetricsAfter(2, { evaluated: false });
    expect(await run.readMetrics()).toEqual(rows.slice(0, 2));
  });

  test("a file written by several at once is one of theirs, whole; links stay links, and what is no file is written to, not replaced", async () => {
    const file = join(root, "file");
    const contents = Array.from({ length: 20 }, (_, i) => String(i).repeat(10_000 * (i + 1)));
    await Promise.all(contents.map((content) => writeFileAtomic(file, content)));
    expect(contents).toContain(await readFile(file, "utf8"));
    for (const [name, target] of [
      ["link", file],
      ["device", "/dev/null"],
    ]) {
      await symlink(target, join(root, name));
      await writeFileAtomic(join(root, name), "new");
      expect(await readlink(join(root, name))).toBe(target);
    }
    expect(await readFile(file, "utf8")).toBe("new");
    expect((await readdir(root)).sort()).toEqual(["device", "file", "link"]);
  });

  test("a lock whose owner is still writing its name is not taken from it", async () => {
    const run = await RunFolder.create(root, "a", {});
    await run.close();
    await writeFile(join(run.dir, ".lock"), "");
    setTimeout(() => writeFile(join(run.dir, ".lock"), processStamp(process.ppid)), 50);
    await expect(RunFolder.open(run.dir)).rejects.toThrow(`is in use by process ${process.ppid}`);
    await writeFile(join(run.dir, ".lock"), ""); // and here the owner died before it had
    await (await RunFolder.open(run.dir)).close();
  });

  test("runs are listed, the one changed last first", async () => {
    await RunFolder.create(root, "old", {});
    await Bun.sleep(15);
    const other = await RunFolder.create(root, "new", {});
    expect(await listRuns(root)).toEqual(["new", "old"]);
    await other.close();
    await Bun.sleep(15);
    await (await RunFolder.open(join(root, "old"))).appendMetrics({ step: 1 });
    expect(await listRuns(root)).toEqual(["old", "new"]);
    expect(await listRuns(join(root, "nowhere"))).toEqual([]);
  });
});

describe("a damaged checkpoint", () => {
  const damages: [string, (dir: string) => Promise<unknown>, RegExp][] = [
    ["a file cut short", (dir) => truncate(join(dir, "policy", "model.safetensors"), 3), /model\.safetensors has 3 bytes instead of 9/],
    ["a changed byte", (dir) => writeFile(join(dir, "policy", "model.safetensors"), "weights-X"), /does not match its checksum/],
    ["a missing file", (dir) => rm(join(dir, "state.json")), /state\.json is missing/],
    ["no manifest", (dir) => rm(join(dir, "manifest.json")), /manifest\.json is missing/],
    ["a manifest that is no JSON", (dir) => writeFile(join(dir, "manifest.json"), "{"), /manifest\.json is not a manifest/],
  ];
  for (const [name, damage, sentence] of damages) {
    test(`(${name}) is passed over for the one before, in words`, async () => {
      const run = await RunFolder.create(root, "a", {});
      await run.saveCheckpoint(1, { n: 1 }, writeModel("weights-1"));
      await damage(await run.saveCheckpoint(2, { n: 2 }, writeModel("weights-2")));
      const found = await run.newestCheckpoint();
      expect(found?.step).toBe(1);
      expect(found?.state).toEqual({ n: 1 });
      expect(found?.skipped).toHaveLength(1);
      expect(found?.skipped[0]).toMatch(sentence);
    });
  }

  test("that is the only one is an error with its reason", async () => {
    const run = await RunFolder.create(root, "a", {});
    await rm(join(await run.saveCheckpoint(1, {}, writeModel("w")), "manifest.json"));
    await expect(run.newestCheckpoint()).rejects.toMatchObject({ code: "ERR_CHECKPOINT", message: expect.stringContaining("manifest.json is missing") });
  });

  test("newer than the resumed one is set aside by the next save, not deleted", async () => {
    const run = await RunFolder.create(root, "a", {});
    await run.saveCheckpoint(10, {}, writeModel("w"));
    await rm(join(await run.saveCheckpoint(20, {}, writeModel("w")), "state.json"));
    await run.saveCheckpoint(15, {}, writeModel("w"));
    expect((await readdir(join(run.dir, "checkpoints"))).sort()).toEqual(["abandoned-step-000020", "step-000010", "step-000015"]);
    expect((await run.newestCheckpoint())?.skipped).toEqual([]);
  });
});

describe("failures are one clear error", () => {
  test("a name that is taken", async () => {
    await RunFolder.create(root, "a", {});
    await expect(RunFolder.create(root, "a", {})).rejects.toMatchObject({ code: "ERR_IO", message: expect.stringContaining("exists already") });
  });

  test("a name with a path in it", async () => {
    await expect(RunFolder.create(root, "../a", {})).rejects.toMatchObject({ code: "ERR_CONFIG" });
  });

  test("a folder that cannot be made", async () => {
    await writeFile(join(root, "file"), "");
    await expect(RunFolder.create(join(root, "file"), "a", {})).rejects.toMatchObject({
      code: "ERR_IO",
      message: expect.stringMatching(/^Cannot create the run folder .*no folder\.$/),
    });
  });

  test("a run that does not exist, or has no readable configuration", async () => {
    await expect(RunFolder.open(join(root, "b"))).rejects.toMatchObject({
      code: "ERR_IO",
      message: expect.stringMatching(/^Cannot open the run .*does not exist\.$/),
    });
    await mkdir(join(root, "b"));
    await writeFile(join(root, "b", "config.json"), "{");
    await expect(RunFolder.open(join(root, "b"))).rejects.toMatchObject({ code: "ERR_CONFIG" });
  });

  test.skipIf(!existsSync("/dev/full"))("a full disk while metrics are written", async () => {
    const run = await RunFolder.create(root, "a", {});
    await symlink("/dev/full", join(run.dir, "metrics.jsonl"));
    await expect(run.appendMetrics({ step: 1 })).rejects.toMatchObject({ code: "ERR_IO", message: expect.stringContaining("the disk is full") });
  });

  test.skipIf(!existsSync("/dev/full"))("a full disk during a save leaves the earlier checkpoint and nothing else", async () => {
    const run = await RunFolder.create(root, "a", {});
    const first = await run.saveCheckpoint(1, { n: 1 }, writeModel("w"));
    const failing = run.saveCheckpoint(2, {}, async (dir) => {
      await writeModel("w")(dir);
      await writeFile("/dev/full", "prm");
    });
    await expect(failing).rejects.toMatchObject({
      code: "ERR_IO",
      message: expect.stringMatching(/^Cannot save the checkpoint of step 2 .*the disk is full\.$/),
    });
    expect(await readdir(join(run.dir, "checkpoints"))).toEqual(["step-000001"]);
    expect((await run.newestCheckpoint())?.dir).toBe(first);
  });

  test("an aborted save stays an abort", async () => {
    const run = await RunFolder.create(root, "a", {});
    const aborted = Object.assign(new Error("aborted"), { code: "ERR_ABORTED" });
    const failing = run.saveCheckpoint(1, {}, async () => {
      throw aborted;
    });
    await expect(failing).rejects.toBe(aborted);
  });
});

describe("a killed process", () => {
  // A child that saves checkpoints 1, 2, … and says when it is in the middle of the third.
  const child = (dir: string) => `
    import { writeFile } from "node:fs/promises";
    import { join } from "node:path";
    import { RunFolder } from ${JSON.stringify(pathToFileURL(join(import.meta.dir, "../../ts/run/run_folder.ts")).href)};
    const run = await RunFolder.create(${JSON.stringify(dir)}, "a", {});
    for (let step = 1; step <= 3; step++) {
      await run.appendMetrics({ step });
      await run.saveCheckpoint(step, { step }, async (to) => {
        await writeFile(join(to, "weights"), "w".repeat(1000));
        if (step === 3) { console.log("saving"); await new Promise((done) => setTimeout(done, 60000)); }
      });
    }`;

  test("in the middle of a save leaves only a .tmp folder, which the next start removes; its lock is free", async () => {
    const script = join(root, "child.ts");
    await writeFile(script, child(root));
    const running = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise<void>((done) => running.stdout.once("data", () => done()));
    await expect(RunFolder.open(join(root, "a"))).rejects.toMatchObject({ message: expect.stringContaining(`in use by process ${running.pid}`) });
    running.kill("SIGKILL");
    await new Promise((done) => running.once("close", done));
    const checkpoints = join(root, "a", "checkpoints");
    expect((await readdir(checkpoints)).sort()).toEqual([".tmp-step-000003", "step-000001", "step-000002"]);

    const run = await RunFolder.open(join(root, "a"));
    expect((await readdir(checkpoints)).sort()).toEqual(["step-000001", "step-000002"]);
    const newest = await run.newestCheckpoint();
    expect(newest).toMatchObject({ step: 2, skipped: [] });
    await run.truncateMetricsAfter(2);
    expect((await run.readMetrics()).map((row) => row.step)).toEqual([1, 2]);
  });

  test("between the two renames of a replacement loses nothing", async () => {
    const run = await RunFolder.create(root, "a", {});
    const dir = await run.saveCheckpoint(4, { n: 1 }, writeModel("w"));
    const { rename } = await import("node:fs/promises");
    await rename(dir, join(run.dir, "checkpoints", ".tmp-old-step-000004"));
    const again = await RunFolder.open(run.dir);
    expect((await again.newestCheckpoint())?.state).toEqual({ n: 1 });
  });
});
