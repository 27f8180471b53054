import { describe, expect, test } from "bun:test";
import { type CollectOptions, collectGroups, type DataCursor, type DrawGroups, drawSize, passesFilter } from "../../ts/rollout/collect.ts";
import type { Group } from "../../ts/rollout/types.ts";
import { digits } from "../support/tasks.ts";

const START: DataCursor = { position: 0, pending: [], keepRate: 0.5 };
const WANTED: CollectOptions = { prompts: 4, filterLow: 0.2, filterHigh: 0.8, maxDraws: 5 };

/** Draws groups whose accuracy is a function of the position; records what was drawn. */
function drawing(accuracy: (position: number) => number, decided: (position: number) => boolean = () => true) {
  const drawn: number[][] = [];
  const draw: DrawGroups = async (problems) => {
    drawn.push(problems.map(({ position }) => position));
    return problems.map(
      ({ position, problem }): Group => ({
        position,
        problem,
        prompt: Int32Array.of(1),
        samples: [],
        accuracy: accuracy(position),
        decided: decided(position),
      }),
    );
  };
  return { drawn, draw };
}

const positions = (groups: Group[]) => groups.map((group) => group.position);

describe("passesFilter", () => {
  const cases: [number, boolean, boolean][] = [
    [0.2, true, true],
    [0.8, true, true],
    [(0.1 + 0.2) / 1.5, true, true], // 0.2 but for rounding
    [0.19, true, false],
    [0.81, true, false],
    [0.5, false, false],
  ];
  for (const [accuracy, decided, expected] of cases) {
    test(`accuracy ${accuracy}, ${decided ? "decided" : "undecided"}: ${expected ? "kept" : "dropped"}`, () => {
      expect(passesFilter({ accuracy, decided }, WANTED)).toBe(expected);
    });
  }
});

describe("collectGroups", () => {
  test("draws until the batch is full; surplus prompts come first next time", async () => {
    const { drawn, draw } = drawing((position) => (position % 2 === 0 ? 0.5 : 1));
    const first = await collectGroups({ at: digits }, { ...START, keepRate: 1 }, draw, WANTED);
    expect(positions(first.kept)).toEqual([0, 2, 4, 6]);
    expect(drawn).toEqual([[0, 1, 2, 3], [4, 5], [6]]);
    const eager = drawing((position) => (position % 2 === 0 ? 0.5 : 1));
    const second = await collectGroups({ at: digits }, { ...START, keepRate: 0.25 }, eager.draw, WANTED);
    expect(positions(second.kept)).toEqual([0, 2, 4, 6]);
    expect(second.cursor).toMatchObject({ position: 16, pending: [8, 10, 12, 14] });
    const third = await collectGroups({ at: digits }, { ...second.cursor, keepRate: 1 }, eager.draw, WANTED);
    expect(eager.drawn[1]).toEqual([8, 10, 12, 14]);
    expect(third.cursor).toMatchObject({ position: 16, pending: [] });
  });

  test("stops at maxDraws with what passed, never throws", async () => {
    const { drawn, draw } = drawing((position) => (position === 3 ? 0.5 : 0));
    const { kept, rest, draws } = await collectGroups({ at: digits }, START, draw, WANTED);
    expect(positions(kept)).toEqual([3]);
    expect(draws).toBe(5);
    expect(rest).toHaveLength(drawn.flat().length - 1);
    const none = await collectGroups({ at: digits }, START, drawing(() => 1).draw, WANTED);
    expect(none.kept).toEqual([]);
    expect(none.cursor.keepRate).toBe(0.25);
  });

  test("undecided groups are dropped, whatever their accuracy", async () => {
    const { draw } = drawing(
      () => 0.5,
      (position) => position > 1,
    );
    const { kept, rest } = await collectGroups({ at: digits }, { ...START, keepRate: 1 }, draw, WANTED);
    expect(positions(kept)).toEqual([2, 3, 4, 5]);
    expect(positions(rest)).toEqual([0, 1]);
  });

  test("no prompt is used twice or lost over many steps", async () => {
    const { draw } = drawing((position) => [0, 0.5, 1, 0.25][(position * 7) % 4]);
    let cursor = START;
    const used: number[] = [];
    for (let step = 0; step < 20; step++) {
      const collected = await collectGroups({ at: digits }, cursor, draw, WANTED);
      used.push(...positions(collected.kept));
      cursor = collected.cursor;
    }
    expect(new Set(used).size).toBe(used.length);
    const passing = Array.from({ length: cursor.position }, (_, i) => i).filter((position) => position % 2 === 1);
    expect([...used, ...cursor.pending].sort((a, b) => a - b)).toEqual(passing);
  });

  test("leaves the cursor it was given alone", async () => {
    const cursor = { position: 5, pending: [1, 2], keepRate: 0.5 };
    await collectGroups({ at: digits }, cursor, drawing(() => 0.5).draw, WANTED);
    expect(cursor).toEqual({ position: 5, pending: [1, 2], keepRate: 0.5 });
  });
});

test("drawSize follows the keep rate, between an eighth of the batch and four batches", () => {
  expect(drawSize(64, 64, 0.5)).toBe(128);
  expect(drawSize(64, 64, 0)).toBe(256);
  expect(drawSize(1, 64, 1)).toBe(8);
  expect(drawSize(1, 2, 1)).toBe(1);
});
