// Prompt filtering with bounded refill: draw prompts, keep those the policy solves sometimes, draw more until the batch is full.

import type { Problem } from "../data/types.ts";
import type { Group } from "./types.ts";

/** Where the next prompt comes from; part of a checkpoint. */
export interface DataCursor {
  position: number; // next unused index of the training source
  pending: number[]; // indices drawn and kept, but not used because the batch was full: they come first next time, with fresh samples
  keepRate: number; // running share of drawn prompts that pass the filter: sizes the next draw
}

export interface CollectOptions {
  prompts: number; // groups wanted
  filterLow: number; // inclusive bounds of a kept group's mean score
  filterHigh: number;
  maxDraws: number;
}

export interface Collected {
  kept: Group[]; // at most `prompts`, in the order drawn
  rest: Group[]; // dropped and surplus groups, in the order drawn
  draws: number;
  cursor: DataCursor;
}

/** Samples `problems` in draw number `draw` of this step; all with the same policy. */
export type DrawGroups = (problems: { position: number; problem: Problem }[], draw: number) => Promise<Group[]>;

/**
 * Draws until `prompts` groups pass or `maxDraws` is reached; what was kept by then is returned, possibly nothing. Never throws for lack of prompts.
 * Groups with an undecided verdict are dropped. The result depends on the cursor and the draws alone.
 */
export async function collectGroups(source: { at(index: number): Problem }, cursor: DataCursor, draw: DrawGroups, o: CollectOptions): Promise<Collected> {
  const kept: Group[] = [];
  const rest: Group[] = [];
  const surplus: number[] = [];
  const queue = [...cursor.pending];
  let { position } = cursor;
  let draws = 0;
  while (kept.length < o.prompts && draws < o.maxDraws) {
    const positions = Array.from({ length: drawSize(o.prompts - kept.length, o.prompts, cursor.keepRate) }, () => queue.shift() ?? position++);
    for (const group of await draw(
      positions.map((p) => ({ position: p, problem: source.at(p) })),
      draws,
    )) {
      const passes = passesFilter(group, o);
      if (passes && kept.length === o.prompts) surplus.push(group.position);
      (passes && kept.length < o.prompts ? kept : rest).push(group);
    }
    draws++;
  }
  const drawn = kept.length + rest.length;
  const keepRate = drawn === 0 ? cursor.keepRate : 0.5 * cursor.keepRate + 0.5 * ((kept.length + surplus.length) / drawn);
  return { kept, rest, draws, cursor: { position, pending: [...surplus, ...queue], keepRate } };
}

/** A group with a mean score inside the bounds (inclusive, with room for rounding) and a verdict for every sample. */
export function passesFilter(group: Pick<Group, "accuracy" | "decided">, o: { filterLow: number; filterHigh: number }): boolean {
  const slack = 1e-9;
  return group.decided && group.accuracy >= o.filterLow - slack && group.accuracy <= o.filterHigh + slack;
}

/** Prompts to draw for `missing` more groups: as many as the keep rate suggests; never a handful (decoding needs a full batch), never without bound. */
export function drawSize(missing: number, wanted: number, keepRate: number): number {
  const expected = Math.ceil(missing / Math.max(keepRate, 0.1));
  return Math.min(4 * wanted, Math.max(expected, Math.ceil(wanted / 8)));
}
