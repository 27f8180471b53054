// primekit prm train, score and view, as a user runs them, on a model of 4,000 weights.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tinyModel, tinyTask } from "../support/tasks.ts";
import { run, start, TINY } from "./support.ts";

setDefaultTimeout(60_000);
const root = mkdtempSync(join(tmpdir(), "primekit-prm-"));
const model = join(root, "model");
const data = join(root, "data.jsonl");
const runs = join(root, "runs");
const { tokenizer } = tinyTask();
const program = (...args: string[]) => run(args, "ts/cli/bin.ts");
let files = 0;
const lines = (file: string) => readFileSync(file, "utf8").trimEnd().split("\n");

/** Sums, right and wrong by turns; every third record has labels of its two steps. */
const records = Array.from({ length: 40 }, (_, i) => {
  const [a, b, off] = [i % 9, (i * 5) % 9, i % 2];
  const steps = [`${a}+${b}=${a + b + off}\n`, `\\boxed{${a + b + off}}`];
  return { id: `r${i}`, question: `${a}+${b}`, steps, ...(i % 3 === 0 ? { labels: [1 - off, 1 - off] } : { label: off === 0 }) };
});

beforeAll(async () => {
  const made = await tinyModel(1);
  await made.save(model);
  made.close();
  await tokenizer.save(model);
  writeFileSync(data, `${records.map((record) => JSON.stringify(record)).join("\n")}\n`);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SMALL = ["--model", model, "--data", data, "--runs", runs, "--dtype", "float32", "--threads", "1", "--batchSize", "8", "--lr", "0.01"];

describe("prm train", () => {
  test("trains, stops on Ctrl-C with a checkpoint, and goes on", async () => {
    const { child, ended } = start(["prm", "train", ...SMALL, "--run", "a", "--steps", "100000"], "ts/cli/bin.ts");
    const metrics = join(runs, "a", "metrics.jsonl");
    while (!existsSync(metrics) || lines(metrics).length < 4) await Bun.sleep(20);
    child.kill("SIGINT");
    const { code, stdout } = await ended;
    expect([code, stdout]).toEqual([130, expect.stringContaining("primekit prm train --resume a")]);
    const [checkpoint] = readdirSync(join(runs, "a", "checkpoints"));
    const step = Number(/\d+/.exec(checkpoint)?.[0]);
    const resumed = await program("prm", "train", "--runs", runs, "--resume", "a", "--steps", String(step + 2));
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stdout).toMatch(/held-out answers +before +after\n +loss/);
    const steps = lines(metrics).flatMap((row) => ("prm/loss" in JSON.parse(row) ? JSON.parse(row).step : []));
    expect(steps).toEqual(Array.from({ length: step + 2 }, (_, i) => i + 1));
    expect(readdirSync(join(runs, ".reference")).length).toBe(1); // computed once for both
    const other = await program("prm", "train", "--runs", runs, "--resume", "a", "--lr", "1");
    expect(other.stderr).toContain("lr is fixed by the run");
  });

  for (const [name, args, sentence] of [
    ["no model", ["--data", "d"], /^primekit: prm train needs --model: model to train/],
    ["no data", ["--model", "m"], /^primekit: prm train needs --data: labelled answers/],
    ["an unknown option", ["--betta", "1"], /^primekit: There is no option --betta\. Did you mean --beta\?/],
    ["an unknown loss", [...SMALL, "--loss", "nca"], /^primekit: --loss must be one of ce, dpo, bon_acc, bon_rm, but got "nca"\.\n$/],
    ["data that is not there", [...SMALL, "--data", "/nowhere.jsonl"], /nowhere\.jsonl/],
    ["over-long answers", [...SMALL, "--maxLength", "8"], /r0: prompt and answer have \d+ \+ \d+ tokens, but the limit is 8/],
    ["a reference with another tokenizer", [...SMALL, "--ref", join(root, "other")], /^primekit: The tokenizers of .*model and .*other differ in model/],
  ] as const) {
    test(`refuses ${name}, before it makes a run folder`, async () => {
      if (name.includes("tokenizer")) await saveOther();
      const { code, stderr } = await program("prm", "train", ...args, "--run", "none");
      expect(code).not.toBe(0);
      expect(stderr).toMatch(sentence);
      expect(stderr).not.toContain("    at ");
      expect(existsSync(join(runs, "none"))).toBe(false);
    });
  }
});

describe("prm score", () => {
  test("JSON lines, a report and text; the rewards add up", async () => {
    const [out, html] = [join(root, "out.jsonl"), join(root, "report.html")];
    const [checkpoint] = readdirSync(join(runs, "a", "checkpoints")).slice(-1);
    const phi = join(runs, "a", "checkpoints", checkpoint, "prm");
    const args = ["--phi", phi, "--ref", model, "--in", data, "--beta", "0.05", "--dtype", "float32", "--out", out, "--html", html, "--show", "1"];
    const { code, stdout, stderr } = await program("prm", "score", ...args, "--tokens");
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("right, by their labels");
    const answers = lines(out).map((line) => JSON.parse(line));
    expect(answers.map((answer) => answer.id)).toEqual(records.map((record) => record.id));
    for (const { steps, score } of answers) {
      expect(steps.map((step: { reward: number }) => step.reward).reduce((a: number, b: number) => a + b)).toBeCloseTo(score, 5);
      for (const step of steps) expect(step.tokens.map((token: { text: string }) => token.text).join("")).toBe(step.text);
    }
    expect(readFileSync(html, "utf8")).toStartWith("<!doctype html>");
    await program("prm", "score", ...args, "--limit", "3");
    expect(lines(out)).toHaveLength(3);
    expect(JSON.parse(lines(out)[0]).steps[0]).not.toHaveProperty("tokens");
  });

  test("one question and its answer from the command line", async () => {
    const { stdout } = await program("prm", "score", "--phi", model, "--ref", model, "--question", "1+2", "--response", "1+2=3\n\\boxed{3}");
    expect(stdout).toContain("1+2  Q +0.000");
    expect(stdout).toContain("+0.000         │         1+2=3");
    const steps = await program("prm", "score", "--phi", model, "--ref", model, "--question", "1+2", "--steps", '["1+2=", "3"]');
    expect(steps.stdout).toContain("│         3\n");
    const wrong = await program("prm", "score", "--phi", model, "--ref", model, "--question", "1+2", "--response", "1", "--steps", '["2"]');
    expect(wrong.stderr).toStartWith('primekit: The answer: step 1 ("2") does not come next in the response');
  });

  test("refuses wrong input, each in one sentence", async () => {
    await saveOther();
    const both = ["--phi", model, "--ref", model];
    const bad = (text: string, i = ++files) => {
      writeFileSync(join(root, `bad${i}.jsonl`), `${text}\n`);
      return [...both, "--in", join(root, `bad${i}.jsonl`)];
    };
    for (const [args, sentence] of [
      [["--phi", model], "prm score needs --ref"],
      [both, "prm score needs either --in, or --question and --response (or --steps)."],
      [["--phi", model, "--ref", join(root, "other"), "--in", data], "must have the same one"],
      [bad('{"prompt":"1","response":"2","label":"?"}'), 'jsonl:1: "?" is no label'],
      [bad('{"prompt":"1","steps":["2",""],"label":1}'), "jsonl:1: step 2 of 2 is empty"],
      [bad('{"prompt":"1","response":"2 3","steps":["2","4"],"label":1}'), "jsonl:1: step 2"],
      [bad('{"prompt":"1",'), "jsonl:1"],
    ] as const) {
      const { code, stderr, stdout } = await program("prm", "score", ...args);
      expect([code === 0, stdout]).toEqual([false, ""]);
      expect(stderr).toStartWith("primekit: ");
      expect(stderr).toContain(sentence);
      expect(stderr).not.toContain("    at ");
    }
  });
});

describe("prm view", () => {
  test("a run of prm train", async () => {
    const { code, stdout, stderr } = await program("prm", "view", join(runs, "a"), "--show", "1");
    expect(code, stderr).toBe(0);
    expect(stdout).toContain(`Written: ${join(runs, "a", "report.html")}`);
    expect(readFileSync(join(runs, "a", "report.html"), "utf8")).toContain("r39");
  });

  test("a PRIME run: its rollouts, with the PRM and reference of its own", async () => {
    const trained = await run([...TINY, "--runs", runs, "--run", "prime", "--steps", "2", "--prmBeta", "1"]);
    expect(trained.code, trained.stderr).toBe(0);
    const { code, stdout, stderr } = await program("prm", "view", "--run", join(runs, "prime"), "--step", "1", "--html", join(root, "view.html"));
    expect(code, stderr).toBe(0);
    const rollouts = lines(join(runs, "prime", "rollouts", "step-000001.jsonl"));
    expect(stdout).toContain(`answers`);
    const page = JSON.parse(/id="data">(.*?)<\/script>/.exec(readFileSync(join(root, "view.html"), "utf8"))?.[1] ?? "");
    expect(page.answers).toHaveLength(rollouts.length);
    expect(page.facts).toContainEqual(["answers", "rollouts/step-000001.jsonl"]);
    expect(page.answers[0].prompt).toBe(/user\n(.*?)<\|im_end\|>/.exec(JSON.parse(rollouts[0]).prompt)?.[1]);
    const none = await program("prm", "view", join(runs, "prime"), "--step", "9");
    expect(none.stderr).toContain("kept no rollouts of step 9; there are those of step 1, 2.");
    expect((await program("prm", "view")).stderr).toContain("prm view needs a run's folder");
  });
});

/** A model directory whose tokenizer has one token more. */
async function saveOther(): Promise<void> {
  const other = join(root, "other");
  if (existsSync(other)) return;
  const made = await tinyModel(2);
  await made.save(other);
  made.close();
  await tokenizer.save(other);
  const json = JSON.parse(readFileSync(join(other, "tokenizer.json"), "utf8"));
  json.model.vocab["~"] = Math.max(...(Object.values(json.model.vocab) as number[])) + 1;
  writeFileSync(join(other, "tokenizer.json"), JSON.stringify(json));
}
