// Whatever is wrong, the user gets clear lines and a non-zero exit code, and nothing is lost.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, TINY } from "./support.ts";

setDefaultTimeout(60_000);

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "primekit-errors-"));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const wrong: [string, () => string[], RegExp][] = [
  ["an unknown option", () => ["--stepz", "3"], /^primekit: There is no option --stepz\. Did you mean --steps\? See --help\.\n$/],
  ["an unknown nested option", () => ["--sft.bachSize", "3"], /^primekit: There is no option --sft\.bachSize\. Did you mean --sft\.batchSize\?/],
  ["a word that belongs to nothing", () => ["steps", "3"], /^primekit: The argument "steps" belongs to no option/],
  ["a value of the wrong type", () => ["--steps", "many"], /^primekit: --steps must be a number, but got "many"\.\n$/],
  ["a missing value", () => ["--steps"], /^primekit: --steps must be a number, but got no value\.\n$/],
  ["a name that is no choice", () => ["--algo", "ppo"], /algo/],
  ["a value out of range", () => ["--lr", "-1"], /lr/],
  ["options that contradict each other", () => ["--filterLow", "0.9"], /filterLow must not exceed filterHigh, but got 0\.9 and 0\.8/],
  ["a configuration file that is missing", () => ["--config", join(root, "none.json")], /^primekit: The configuration file .*none\.json does not exist\.\n$/],
  ["a run to resume that is missing", () => ["--runs", root, "--resume", "nothing"], /^primekit: There is no run "nothing" in /],
  ["no run to resume at all", () => ["--runs", join(root, "empty"), "--resume"], /^primekit: There is no run to go on with in /],
  ["a model directory that is missing", () => ["--runs", join(root, "a"), "--init", join(root, "none")], /none/],
  [
    "a run folder that cannot be made",
    () => ["--runs", "/dev/null", "--run", "a"],
    /^primekit: Cannot create the run folder \/dev\/null\/a: a part of the path is no folder\.\n$/,
  ],
];

describe("the main job refuses", () => {
  for (const [name, args, sentence] of wrong) {
    test(name, async () => {
      const { code, stdout, stderr } = await run(args());
      expect(code).not.toBe(0);
      expect(stderr).toMatch(sentence);
      expect(stderr).not.toContain("    at "); // no stack
      expect(stdout).toBe("");
    });
  }

  test("before it makes a run folder", async () => {
    const runs = join(root, "nothing");
    for (const args of [
      ["--init", join(root, "none")],
      ["--task.minSteps", "1", "--task.maxSteps", "1"],
      ["--model.numAttentionHeads", "7"],
    ]) {
      const { code, stderr } = await run(["--runs", runs, ...args]);
      expect(code, stderr).not.toBe(0);
      expect(stderr).toMatch(/^primekit: .*\n$/);
      expect(existsSync(runs)).toBe(false);
    }
  });

  test("a run name that is taken", async () => {
    await mkdir(join(root, "b", "taken"), { recursive: true });
    await writeFile(join(root, "b", "taken", "note.txt"), "mine");
    const { code, stderr } = await run(["--runs", join(root, "b"), "--run", "taken", ...TINY]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/^primekit: The run folder .*taken exists already/);
    expect(await readdir(join(root, "b", "taken"))).toEqual(["note.txt"]);
  });
});

test("options come from a file too, with flags before it", async () => {
  const file = join(root, "job.yaml");
  await writeFile(file, "steps: 3\nlr: -5\nsft:\n  stepz: 4\n");
  const { code, stderr } = await run(["--config", file, "--lr", "0.001"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/stepz is not a fine-tuning option\. Did you mean steps\?/);
  await writeFile(file, "steps: 3\nlr: -5\n");
  const fromFile = await run(["--config", file]);
  expect(fromFile.stderr).toContain("lr");
  expect(fromFile.code).toBe(2);
});

const canMount = process.getuid?.() === 0 && Bun.which("mount") !== null && process.platform === "linux";

test.skipIf(!canMount)(
  "a disk that fills up during the run: one line, and the run goes on from its last checkpoint when there is room again",
  async () => {
    const disk = join(root, "disk");
    await mkdir(disk);
    if (Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", disk]).exitCode !== 0) return console.log("skipped: this machine allows no mounts");
    try {
      const { code, stderr } = await run(["--runs", disk, "--run", "full", ...TINY]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/primekit: Cannot .*: the disk is full\.\n$/);
      expect(existsSync(join(disk, "full", "config.json"))).toBe(true);
      expect(Bun.spawnSync(["mount", "-o", "remount,size=20m", disk]).exitCode).toBe(0);
      const again = await run(["--runs", disk, "--resume", "full"]);
      expect(again.code, again.stderr).toBe(0);
    } finally {
      Bun.spawnSync(["umount", disk]);
    }
  },
  60_000,
);

describe("a command's name", () => {
  const program = (...args: string[]) => run(args, "ts/cli/bin.ts");

  test("in half lists what begins with it", async () => {
    for (const args of [["prm"], ["prm", "--help"]]) {
      const { code, stdout } = await program(...args);
      expect(code).toBe(0);
      expect(stdout.match(/^ {2}\S+ \w+/gm)).toEqual(["  prm train", "  prm score", "  prm view"]);
    }
  });

  test("misspelt is an error with the closest one", async () => {
    const words: [string[], string][] = [
      [["prm", "viw"], 'There is no command "prm viw". Did you mean prm view? There are prm train, prm score, prm view.\n'],
      [["trian"], 'There is no command "trian". Did you mean train? '],
      [["--halp"], 'There is no command "--halp".'],
    ];
    for (const [args, message] of words) {
      const { code, stderr } = await program(...args);
      expect(stderr).toStartWith(`primekit: ${message}`);
      expect(code).toBe(2);
    }
  });
});
