// A run that is stopped or killed and resumed ends bit-identical to one that was not.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, watch } from "node:fs";
import { mkdtemp, readdir, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fingerprint, ROOT, run, start, TINY } from "./support.ts";

const MINUTES = 180_000;
let root: string;
let unbroken: Record<string, string>;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "primekit-resume-"));
  const ended = await run(["--runs", root, "--run", "unbroken", ...TINY]);
  expect(ended.code, ended.stderr).toBe(0);
  unbroken = fingerprint(join(root, "unbroken"));
}, MINUTES);
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

/** Starts a run and sends `signal` as soon as `moment` says so (asked whenever a file changes below the run). */
async function interruptAt(name: string, signal: NodeJS.Signals, moment: (dir: string) => boolean) {
  const dir = join(root, name);
  const { child, ended } = start(["--runs", root, "--run", name, ...TINY]);
  let sent = false;
  while (!sent && child.exitCode === null) {
    if (moment(dir)) {
      sent = true;
      child.kill(signal);
    } else await waitForChange(dir);
  }
  expect(sent, "the run ended before the moment came").toBe(true);
  return { dir, ...(await ended) };
}

/** Resolves at the next change in the run's folders, or after a millisecond where there is none to watch yet. */
function waitForChange(dir: string): Promise<void> {
  const folders = [dir, join(dir, "checkpoints"), join(dir, "sft"), join(dir, "sft", "checkpoints")].filter((folder) => existsSync(folder));
  return new Promise((done) => {
    const watchers = folders.map((folder) => watch(folder, finish));
    const timer = setTimeout(finish, 1);
    function finish() {
      clearTimeout(timer);
      for (const watcher of watchers) watcher.close();
      done();
    }
  });
}

const names = (dir: string) => (existsSync(dir) ? readdirSync(dir) : []);
const isSaving = (dir: string, step: number) => names(join(dir, "checkpoints")).includes(`.tmp-step-${String(step).padStart(6, "0")}`);
const hasStep = (dir: string, step: number) => names(join(dir, "checkpoints")).includes(`step-${String(step).padStart(6, "0")}`);

describe("kill -9", () => {
  const moments: [string, (dir: string) => boolean][] = [
    ["while fine-tuning", (dir) => hasStep(join(dir, "sft"), 2)],
    ["between two checkpoints of PRIME", (dir) => hasStep(dir, 2) && names(join(dir, "rollouts")).includes("step-000003.jsonl")],
    ["during a save", (dir) => isSaving(dir, 4)],
  ];
  for (const [name, moment] of moments) {
    test(
      `${name}: the resumed run ends bit-identical`,
      async () => {
        const id = name.replaceAll(" ", "-");
        const { dir, signal } = await interruptAt(id, "SIGKILL", moment);
        expect(signal).toBe("SIGKILL");
        if (name === "during a save") {
          expect(isSaving(dir, 4)).toBe(true);
          expect(hasStep(dir, 4)).toBe(false);
        }
        const ended = await run(["--runs", root, "--resume", id]);
        expect(ended.code, ended.stderr).toBe(0);
        expect(fingerprint(dir)).toEqual(unbroken);
        expect(names(join(dir, "checkpoints")).filter((entry) => entry.startsWith(".tmp"))).toEqual([]);
      },
      MINUTES,
    );
  }
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(
    `${signal} ends with a checkpoint and says how to go on; the resumed run ends bit-identical`,
    async () => {
      const { dir, code, stdout, stderr } = await interruptAt(signal, signal, (folder) => names(join(folder, "rollouts")).includes("step-000001.jsonl"));
      expect(code, stderr).toBe(signal === "SIGINT" ? 130 : 143);
      expect(stdout).toContain(`--resume ${signal} --runs ${root}`);
      const step = Number(/step-(\d+)/.exec(await readFile(join(dir, "latest"), "utf8"))?.[1]);
      expect(step).toBeGreaterThanOrEqual(1);
      const rows = (await readFile(join(dir, "metrics.jsonl"), "utf8")).trim().split("\n");
      expect(JSON.parse(rows[rows.length - 1]).step).toBe(step);
      const ended = await run(["--runs", root, "--resume", signal]);
      expect(ended.code, ended.stderr).toBe(0);
      expect(fingerprint(dir)).toEqual(unbroken);
    },
    MINUTES,
  );
}

test(
  "SIGTERM to npx reaches the run, although the shell between them does not pass it on",
  async () => {
    const dir = join(root, "npx");
    // What npx does: a shell that runs the program and waits. Its end is all that the program notices.
    const program = [process.execPath, "train.ts", "--runs", root, "--run", "npx", ...TINY, "--steps", "100000"].join(" ");
    const shell = Bun.spawn(["sh", "-c", `${program} & wait`], {
      cwd: ROOT,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      env: { ...process.env, npm_command: "exec" },
    });
    while (!names(join(dir, "rollouts")).includes("step-000001.jsonl")) await waitForChange(dir);
    shell.kill("SIGTERM");
    const stdout = await new Response(shell.stdout).text(); // ends when the program ends
    expect(stdout).toContain("--resume npx");
    expect(existsSync(join(dir, "latest"))).toBe(true);
  },
  MINUTES,
);

test(
  "a corrupt newest checkpoint is passed over in words, and the run still ends the same",
  async () => {
    const { dir } = await interruptAt("corrupt", "SIGKILL", (folder) => hasStep(folder, 4));
    await truncate(join(dir, "checkpoints", "step-000004", "prm", "model.safetensors"), 100);
    const ended = await run(["--runs", root, "--resume", "corrupt"]);
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toMatch(/step-000004 is damaged \(prm\/model\.safetensors has 100 bytes instead of \d+\)\. Going on from step 2 instead\./);
    expect(fingerprint(dir)).toEqual(unbroken);
  },
  MINUTES,
);

test(
  "--resume alone goes on with the latest run, and a finished run just reports again",
  async () => {
    const { dir } = await interruptAt("latest-run", "SIGKILL", (folder) => hasStep(folder, 2));
    for (let time = 0; time < 2; time++) {
      const ended = await run(["--runs", root, "--resume"]);
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.stderr).toContain(`Run folder: ${dir}`);
      expect(ended.stdout).toContain("held-out accuracy (greedy)");
      expect(fingerprint(dir)).toEqual(unbroken);
    }
    expect((await readdir(join(dir, "checkpoints"))).sort()).toEqual(["step-000004", "step-000005"]);
  },
  MINUTES,
);
