import { describe, expect, test } from "bun:test";
import { PassThrough } from "node:stream";
import { count, duration, percent, shortDuration, signed, table } from "../../ts/cli/format.ts";
import { createProgress, Figures } from "../../ts/cli/progress.ts";
import type { TrainEvent } from "../../ts/train/events.ts";

const step = (n: number, accuracy: number): TrainEvent => ({
  type: "step",
  trainer: "prime",
  step: n,
  steps: 10,
  metrics: { "rollout/accuracy": accuracy, "time/tokensPerSecond": 1500 },
});

/** A terminal, or a file, that remembers what was written. */
function sink(isTTY: boolean): NodeJS.WriteStream & { text(): string } {
  const pieces: string[] = [];
  const stream = new PassThrough();
  stream.on("data", (piece) => pieces.push(String(piece)));
  return Object.assign(stream, {
    isTTY,
    columns: 200,
    rows: 30,
    cursorTo: () => true,
    clearLine: () => true,
    moveCursor: () => true,
    text: () => pieces.join(""),
  }) as never;
}

describe("progress", () => {
  test("time left is the pace since the first step", () => {
    let now = 0;
    const figures = new Figures(() => now);
    now = 60_000; // a slow first step
    figures.update(step(1, 0.5));
    expect(figures.left()).toBeUndefined();
    now += 4000;
    figures.update(step(3, 0.5));
    expect(figures.left()).toBe(14);
    figures.update({ type: "eval", trainer: "sft", step: 0, steps: 5, accuracy: 0.25 });
    expect(figures.left()).toBeUndefined();
    expect(figures.text()).toBe("accuracy 25.0 % · – tok/s · – left");
  });

  test("without a terminal it is plain lines, not more than one in five seconds beside the last", () => {
    let now = 0;
    const stream = sink(false);
    const progress = createProgress(stream, () => now);
    for (let n = 1; n <= 10; n++) {
      progress.onEvent(step(n, n / 10));
      now += 1000;
    }
    progress.onEvent({ type: "eval", trainer: "prime", step: 10, steps: 10, accuracy: 0.875 });
    progress.stop();
    expect(stream.text()).toBe(
      [
        "PRIME 1/10 · accuracy 10.0 % · 1.5k tok/s · – left",
        "PRIME 6/10 · accuracy 60.0 % · 1.5k tok/s · 0:04 left",
        "PRIME 10/10 · accuracy 100.0 % · 1.5k tok/s · 0:00 left",
        "PRIME 10/10: held-out accuracy 87.5 %",
        "",
      ].join("\n"),
    );
  });

  test("on a terminal it is a bar with accuracy, tokens/s and time left; remarks stand above it", () => {
    const stream = sink(true);
    const progress = createProgress(stream);
    progress.onEvent(step(1, 0.5));
    progress.onEvent(step(5, 0.625));
    progress.say("A remark.");
    progress.stop();
    progress.stop(); // does nothing
    expect(stream.text()).toContain("█");
    expect(stream.text()).toContain("5/10 · accuracy 62.5 % · 1.5k tok/s · ");
    expect(stream.text()).toContain("A remark.\n");
  });
});

test("numbers as text", () => {
  expect([percent(0.5), percent(undefined), percent(Number.NaN)]).toEqual(["50.0 %", "–", "–"]);
  expect([duration(0), duration(59.6), duration(3725), duration(Number.POSITIVE_INFINITY)]).toEqual(["0:00", "1:00", "1:02:05", "–"]);
  expect([shortDuration(0.44), shortDuration(65)]).toEqual(["0.4 s", "1:05"]);
  expect([count(950), count(9540), count(95_400), count(1_234_000), count(undefined)]).toEqual(["950", "9.5k", "95k", "1.2M", "–"]);
  expect([signed(0.417), signed(-0.066), signed(undefined)]).toEqual(["+0.42", "−0.07", "–"]);
  expect(
    table([
      ["a", "1"],
      ["long", "22"],
    ]),
  ).toBe("a       1\nlong   22");
});
