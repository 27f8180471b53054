// Packing rows into batches and moving per-token values between "all rows" and "the rows of one micro-batch". No padding, no masks.

import { rangeError } from "../errors.ts";
import type { Batch } from "../model.ts";
import type { Group, Row } from "./types.ts";

/** The rows of groups, group-major: row g*G + i is sample i of group g. */
export function rowsOfGroups(groups: readonly Group[]): Row[] {
  return groups.flatMap((group) => group.samples.map((sample) => ({ prompt: group.prompt, response: sample.tokens })));
}

/** Offsets [B+1] of the response tokens of rows, the layout of every per-token array here. */
export function responseOffsets(rows: readonly Row[]): Int32Array {
  const offsets = new Int32Array(rows.length + 1);
  for (let i = 0; i < rows.length; i++) offsets[i + 1] = offsets[i] + rows[i].response.length;
  return offsets;
}

/** One packed batch of prompt + response per row; only response tokens are scored. */
export function packRows(rows: readonly Row[]): Batch {
  const offsets = new Int32Array(rows.length + 1);
  const promptLengths = new Int32Array(rows.length);
  rows.forEach((row, i) => {
    if (row.prompt.length === 0) throw rangeError(`rows[${i}].prompt`, "at least one token (the first response token is predicted from it)", row.prompt);
    promptLengths[i] = row.prompt.length;
    offsets[i + 1] = offsets[i] + row.prompt.length + row.response.length;
  });
  const tokens = new Int32Array(offsets[rows.length]);
  rows.forEach((row, i) => {
    tokens.set(row.prompt, offsets[i]);
    tokens.set(row.response, offsets[i] + row.prompt.length);
  });
  return { tokens, offsets, promptLengths };
}

/**
 * Splits row indices, in order, into micro-batches of at most `maxTokens` tokens (prompt + response). `unit` consecutive entries stay together
 * (a whole group, for losses that compare group members); a unit longer than the budget becomes a micro-batch of its own.
 */
export function splitByTokens(rows: readonly Row[], indices: readonly number[], maxTokens: number, unit = 1): number[][] {
  const parts: number[][] = [];
  let part: number[] = [];
  let used = 0;
  for (let i = 0; i < indices.length; i += unit) {
    const members = indices.slice(i, i + unit);
    const tokens = members.reduce((sum, row) => sum + rows[row].prompt.length + rows[row].response.length, 0);
    if (part.length > 0 && used + tokens > maxTokens) {
      parts.push(part);
      part = [];
      used = 0;
    }
    part.push(...members);
    used += tokens;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

/** The values of the chosen rows, packed in the given order. `values` [N] lies along `offsets` [B+1]. */
export function gather(values: Float32Array, offsets: Int32Array, indices: readonly number[]): Float32Array {
  const picked = new Float32Array(indices.reduce((sum, row) => sum + offsets[row + 1] - offsets[row], 0));
  let at = 0;
  for (const row of indices) {
    picked.set(values.subarray(offsets[row], offsets[row + 1]), at);
    at += offsets[row + 1] - offsets[row];
  }
  return picked;
}

/** The inverse of gather(): writes packed values of the chosen rows back to their places. */
export function scatter(target: Float32Array, offsets: Int32Array, indices: readonly number[], values: Float32Array): void {
  let at = 0;
  for (const row of indices) {
    const length = offsets[row + 1] - offsets[row];
    target.set(values.subarray(at, at + length), offsets[row]);
    at += length;
  }
}

/** Joins [N_i] arrays into one [sum N_i]. */
export function concat(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** 0, 1, … n-1. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}
