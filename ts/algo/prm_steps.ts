// The loss of an implicit PRM on labels of steps: cross entropy of the running Q at each labelled step's end.

import { rangeError } from "../errors.ts";
import { implicitRewards } from "../kernels.ts";

export interface PrmStepLossInput {
  prmLogprobs: Float32Array; // [N]
  refLogprobs: Float32Array; // [N]
  offsets: Int32Array; // [B+1]
  /** Positions [S], inside their rows and rising, of the last token of every labelled step. */
  stepEnds: Int32Array;
  stepOffsets: Int32Array; // [B+1] of the labelled steps by row
  labels: Float32Array; // [S] in 0..1: whether the answer is right so far
  beta: number;
  normalizer?: number; // > 0: divisor of the sum over rows; default B
}

export interface PrmStepLoss {
  loss: number;
  dLogprobs: Float32Array; // [N] by prmLogprobs
  q: Float32Array; // [S] the running Q at the steps' ends
}

/**
 * Mean over rows of the mean over a row's labelled steps of BCE(sigmoid(Q at the step's end), label). A row with one label at its last token is
 * exactly the loss on whole answers. A row without labelled steps adds nothing and counts as a row. NaN log-probs give a NaN loss.
 * Throws RangeError for a label outside 0..1 and for a position outside its row or out of order.
 */
export function prmStepLoss(input: PrmStepLossInput): PrmStepLoss {
  const { offsets, stepEnds, stepOffsets, labels, beta } = input;
  const rows = offsets.length - 1;
  const normalizer = input.normalizer ?? Math.max(rows, 1);
  const running = implicitRewards(input.prmLogprobs, input.refLogprobs, offsets, { beta }).q;
  const q = new Float32Array(stepEnds.length);
  const dLogprobs = new Float32Array(input.prmLogprobs.length);
  let loss = 0;
  for (let row = 0; row < rows; row++) {
    const [first, last] = [stepOffsets[row], stepOffsets[row + 1]];
    const share = 1 / ((last - first) * normalizer);
    let slope = 0; // d loss / d r_t: the sum of d loss / d Q over the ends at or after t
    let from = offsets[row + 1] - 1;
    for (let s = last - 1; s >= first; s--) {
      checkStep(input, row, s, s + 1 < last ? stepEnds[s + 1] : offsets[row + 1] - offsets[row]);
      const at = offsets[row] + stepEnds[s];
      q[s] = running[at];
      loss += share * (Math.max(q[s], 0) - q[s] * labels[s] + Math.log1p(Math.exp(-Math.abs(q[s]))));
      dLogprobs.fill(beta * slope, at + 1, from + 1);
      slope += share * (1 / (1 + Math.exp(-q[s])) - labels[s]);
      from = at;
    }
    dLogprobs.fill(beta * slope, offsets[row], from + 1);
  }
  return { loss, dLogprobs, q };
}

// --- internal ---

function checkStep({ stepEnds, labels }: PrmStepLossInput, row: number, s: number, limit: number): void {
  if (!(stepEnds[s] >= 0 && stepEnds[s] < limit)) throw rangeError(`stepEnds[${s}]`, `a position of row ${row} below ${limit}`, stepEnds[s]);
  if (!(labels[s] >= 0 && labels[s] <= 1)) throw rangeError(`labels[${s}]`, "a number from 0 to 1", labels[s]);
}
