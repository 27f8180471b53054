// No input crashes the process: seeded bad calls in a child, and arguments that change or vanish while a call runs.
import { expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expectIdentical } from "../support/compare.ts";
import { pack, randomModel, randomRows, TINY } from "../support/models.ts";
import { Random } from "../support/random.ts";

setDefaultTimeout(60_000); // test machines are busy

/** Runs a fuzzing program; its last line. */
function fuzz(script: string, calls: number): { calls: number; resolved: number; failed: number } {
  const child = spawnSync(process.execPath, [join(import.meta.dirname, "..", "support", script), String(calls), "1"], { encoding: "utf8", timeout: 170_000 });
  if (child.status !== 0) throw new Error(`exit status ${child.status}, signal ${child.signal}\n${child.stderr.slice(-2000)}`);
  return JSON.parse(child.stdout.trim().split("\n").at(-1) as string);
}

for (const [what, script] of [
  ["Model and the native model", "fuzz_model.ts"],
  ["the ops", "fuzz_ops.ts"],
]) {
  test(`2,000 bad calls at ${what} are errors, never a crash`, () => {
    const { calls, resolved, failed } = fuzz(script, 2000);
    expect(calls).toBe(2000);
    expect(resolved + failed).toBe(2000);
    expect(failed).toBeGreaterThan(800);
  }, 180_000);
}

test("arguments changed after the call do not reach it", async () => {
  using model = await randomModel();
  const batch = pack(randomRows(new Random(1), [300, 40], TINY.vocabSize), [3, 5]);
  const expected = await model.logprobs(batch);
  const mine = { tokens: batch.tokens.slice(), offsets: batch.offsets.slice(), promptLengths: batch.promptLengths?.slice() };
  const running = model.logprobs(mine);
  mine.tokens.fill(2 ** 30);
  mine.offsets.fill(2 ** 30);
  mine.promptLengths?.fill(-7);
  expectIdentical((await running).logprobs, expected.logprobs);
});

test("buffers transferred away after the call do not matter", async () => {
  using model = await randomModel();
  const batch = pack(randomRows(new Random(1), [300, 40], TINY.vocabSize));
  const expected = await model.logprobs(batch);
  const tokens = batch.tokens.slice();
  const offsets = batch.offsets.slice();
  const running = model.logprobs({ tokens, offsets });
  structuredClone([tokens, offsets], { transfer: [tokens.buffer, offsets.buffer] });
  const churn = Array.from({ length: 50 }, () => new Int32Array(340).fill(2 ** 30)); // whoever reuses the memory
  expectIdentical((await running).logprobs, expected.logprobs);
  expect(churn.length).toBe(50);
});

test("prompts and gradients changed after the call do not reach it", async () => {
  using model = await randomModel();
  const prompts = randomRows(new Random(1), [30, 4], TINY.vocabSize);
  const expected = await model.generate(prompts, { maxNewTokens: 20, seed: 1 });
  const mine = prompts.map((p) => p.slice());
  const running = model.generate(mine, { maxNewTokens: 20, seed: 1 });
  for (const p of mine) p.fill(2 ** 30);
  for (const [i, rollout] of (await running).entries()) expectIdentical(rollout.tokens, expected[i].tokens);

  const batch = pack(prompts);
  const gradient = async (spoil: boolean) => {
    await model.native.zeroGradients();
    const d = new Float32Array(batch.tokens.length - 2).fill(0.5);
    const running = model.forwardBackward(batch, () => {
      if (spoil) setTimeout(() => d.fill(Number.NaN), 0);
      return { dLogprobs: d };
    });
    await running;
    return model.native.readParameter("model.norm.weight", "gradient");
  };
  const clean = await gradient(false);
  expect((await gradient(false)).every((x, i) => x === clean[i])).toBe(true);
  expectIdentical(await gradient(true), clean);
});

test("batches in a SharedArrayBuffer, at any offset", async () => {
  using model = await randomModel();
  const shared = new SharedArrayBuffer(4096);
  const rows = randomRows(new Random(1), [9, 5], TINY.vocabSize);
  const { tokens, offsets } = pack(rows);
  const t = new Int32Array(shared, 12, tokens.length);
  t.set(tokens);
  const o = new Int32Array(shared, 1020, offsets.length);
  o.set(offsets);
  expectIdentical((await model.logprobs({ tokens: t, offsets: o })).logprobs, (await model.logprobs({ tokens, offsets })).logprobs);
});
