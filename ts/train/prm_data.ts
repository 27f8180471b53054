// The PRM trainer's data: encoded examples in groups, a held-out part, and batches whose order is a pure function of seed and position.

import { prmLosses } from "../algo/prm_losses.ts";
import { areaUnderCurve, type ScoreQuality, scoreQuality } from "../algo/prm_metrics.ts";
import { type LabelledRow, scoresOf } from "../algo/prm_update.ts";
import { permutation } from "../algo/shuffle.ts";
import { encodeExample, type PromptFormat } from "../data/prm/encode.ts";
import type { PrmExample } from "../data/prm/example.ts";
import { PrimekitError } from "../errors.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { PrmConfig } from "./prm_config.ts";

/** What one kind of row is drawn from: units that stay together (groups, or single rows). */
type Units = number[][];

export interface PrmData {
  rows: LabelledRow[]; // those to train on first, groups side by side, then the held-out ones
  trained: number; // rows to train on: 0 … trained-1
  answers: Units; // rows with a label of the whole answer
  steps: Units; // rows with labels of their steps
  truncated: number; // answers that were cut
}

/** Where the next units come from; part of a checkpoint. */
export interface PrmCursor {
  answers: number;
  steps: number;
}

export interface PrmDataOptions extends Pick<PrmConfig, "loss" | "maxLength" | "truncate" | "evalShare" | "seed"> {
  promptFormat?: PromptFormat;
}

/** Encodes examples and splits whole groups into training and held-out rows. Throws ERR_DATA for what cannot be trained on, naming the example. */
export function preparePrmData(tokenizer: Tokenizer, examples: readonly PrmExample[], o: PrmDataOptions): PrmData {
  const groups = new Map<string, LabelledRow[]>();
  let truncated = 0;
  for (const example of examples) {
    const members = groups.get(example.group) ?? [];
    groups.set(example.group, members);
    const { row, cut } = labelledRow(tokenizer, example, groups.size, o);
    row.group = members[0]?.group ?? groups.size - 1;
    members.push(row);
    truncated += Number(cut);
  }
  const order = permutation(groups.size, o.seed, 0x70726d);
  const wanted = o.evalShare === 0 ? 0 : Math.max(1, Math.round(o.evalShare * groups.size));
  const heldOut = new Set(order.slice(0, Math.max(0, Math.min(groups.size - 1, wanted))));
  const parts = [...groups.values()];
  const training = parts.filter((_, g) => !heldOut.has(g)).flat();
  const rows = [...training, ...parts.filter((_, g) => heldOut.has(g)).flat()];
  if (training.length === 0) throw new PrimekitError("ERR_DATA", "There is no example to train on.");
  const { whole } = prmLosses[o.loss]; // the loss compares answers, so that groups stay together
  const answers = unitsOf(training, (row) => !row.steps, whole);
  if (whole && answers.length > 0 && !answers.some((unit) => new Set(unit.map((row) => training[row].label)).size > 1))
    throw new PrimekitError("ERR_DATA", "No prompt has two answers with different labels, so a loss that compares answers learns nothing; use the loss ce.");
  return { rows, trained: training.length, answers, steps: unitsOf(training, (row) => row.steps !== undefined, false), truncated };
}

/** Optimizer steps of a run: as configured, or what the epochs take. */
export function totalSteps(data: PrmData, config: PrmConfig): number {
  return config.steps || Math.max(1, Math.round((config.epochs * data.trained) / config.batchSize));
}

/** The rows of the next batch (those with one label first) and the cursor behind it. Every pass over a kind has an order of its own. */
export function nextBatch(data: PrmData, cursor: PrmCursor, config: PrmConfig): { rows: number[]; cursor: PrmCursor } {
  const both = data.answers.length > 0 && data.steps.length > 0;
  const stepRows = both ? Math.round(config.stepShare * config.batchSize) : data.steps.length > 0 ? config.batchSize : 0;
  const answers = draw(data.answers, cursor.answers, config.batchSize - stepRows, config.seed, 1);
  const steps = draw(data.steps, cursor.steps, stepRows, config.seed, 2);
  return { rows: [...answers.rows, ...steps.rows], cursor: { answers: answers.position, steps: steps.position } };
}

/** How well log-probs [N] of the rows agree with their labels: answers by their label (or that of their last step), and labelled steps by Q at their ends. */
export function batchQuality(
  rows: readonly LabelledRow[],
  logprobs: Float32Array,
  reference: Float32Array,
  beta: number,
): ScoreQuality & { steps: number; stepAuc: number | undefined } {
  const { scores, stepQ, stepLabels } = scoresOf(rows, logprobs, reference, beta);
  const labels = rows.map(({ label, steps }) => label ?? steps?.labels.at(-1) ?? Number.NaN);
  return { ...scoreQuality(scores, labels), steps: stepQ.length, stepAuc: areaUnderCurve(stepQ, stepLabels) };
}

// --- internal ---

function labelledRow(tokenizer: Tokenizer, example: PrmExample, group: number, o: PrmDataOptions): { row: LabelledRow; cut: boolean } {
  const { prompt, response, stepEnds, truncated } = encodeExample(tokenizer, example, o);
  const labelled = Array.from(stepEnds.keys()).filter((k) => example.stepLabels?.[k] !== undefined);
  const { label } = example;
  if (label === undefined && labelled.length === 0)
    throw new PrimekitError("ERR_DATA", `${example.id}: there is no label, neither of the answer nor of a step.`);
  const row: LabelledRow = { prompt, response, group, ...(label === undefined ? {} : { label }) };
  if (labelled.length > 0) {
    row.steps = { ends: Int32Array.from(labelled, (k) => stepEnds[k]), labels: Float32Array.from(labelled, (k) => example.stepLabels?.[k] as number) };
  }
  return { row, cut: truncated };
}

function unitsOf(rows: readonly LabelledRow[], belongs: (row: LabelledRow) => boolean, whole: boolean): Units {
  const units = new Map<number, number[]>();
  rows.forEach((row, i) => {
    if (!belongs(row)) return;
    const key = whole ? row.group : i;
    units.set(key, [...(units.get(key) ?? []), i]);
  });
  return [...units.values()];
}

/** Takes units until there are `wanted` rows. */
function draw(units: Units, position: number, wanted: number, seed: number, kind: number): { rows: number[]; position: number } {
  const rows: number[] = [];
  let at = position;
  let order: number[] = [];
  for (let pass = -1; rows.length < wanted && units.length > 0; at++) {
    if (pass !== Math.floor(at / units.length)) {
      pass = Math.floor(at / units.length);
      order = permutation(units.length, seed, kind, pass);
    }
    rows.push(...units[order[at % units.length]]);
  }
  return { rows, position: at };
}
