// Inputs and wanted values for every_function.c as a C header: the float64 oracles of test/reference on seeded random data.
import { project, projectBackward, toBfloat16, tokenLogprobsBackwardReference, tokenLogprobsReference } from "../../reference/logprobs.ts";
import { crossEntropyReference, dpoReference, ppoReference } from "../../reference/losses.ts";
import { finiteDifferences, offsetsFrom, Random } from "../../reference/random.ts";
import { implicitRewardsReference, primeAdvantagesReference, stepRewardsReference } from "../../reference/rewards.ts";

type Values = ArrayLike<number>;
type CType = "float" | "double" | "int32_t" | "uint16_t";

const literal = (type: CType, value: number) =>
  (type === "float" || type === "double" ? value.toExponential(17) : String(value)) + (type === "float" ? "f" : "");
const array = (type: CType, name: string, values: Values) =>
  `static const ${type} ${name}[] = {${Array.from(values, (value) => literal(type, value)).join(", ")}};`;
const number = (name: string, value: number) => `static const double ${name} = ${literal("double", value)};`;
const size = (name: string, value: number) => `enum { ${name} = ${value} };`;

/** The header's text. Names are those of every_function.c; wanted values begin with want_. */
export function casesHeader(): string {
  const random = new Random(11);
  const lines = ["#include <stdint.h>", ...logprobCases(random), ...rewardCases(random)];
  return `${lines.join("\n")}\n`;
}

// --- internal ---

const TEMPERATURE = 0.7;

function logprobCases(random: Random): string[] {
  const [n, vocab, hiddenSize] = [9, 101, 33];
  const [targets, dLogprobs, dEntropy] = [random.tokens(n, vocab), random.normals(n), random.normals(n)];
  const logits = random.normals(n * vocab, 2);
  const scores = tokenLogprobsReference(logits, targets, vocab, TEMPERATURE);
  const half = toBfloat16(logits);
  const halfScores = tokenLogprobsReference(half.rounded, targets, vocab, TEMPERATURE);
  const hidden = toBfloat16(random.normals(n * hiddenSize));
  const weight = toBfloat16(random.normals(vocab * hiddenSize, 0.3));
  const projected = project(hidden.rounded, weight.rounded, hiddenSize);
  const linear = tokenLogprobsReference(projected, targets, vocab, TEMPERATURE);
  const dProjected = tokenLogprobsBackwardReference(projected, targets, dLogprobs, dEntropy, vocab, TEMPERATURE);
  const { dHidden, dWeight } = projectBackward(dProjected, hidden.rounded, weight.rounded, hiddenSize);
  return [
    ...[size("kScored", n), size("kVocab", vocab), size("kHidden", hiddenSize), number("temperature", TEMPERATURE)],
    ...[array("int32_t", "targets", targets), array("float", "d_logprobs", dLogprobs), array("float", "d_entropy", dEntropy)],
    ...[array("float", "logits", logits), array("double", "want_logprobs", scores.logprobs), array("double", "want_entropy", scores.entropy)],
    array("double", "want_d_logits", tokenLogprobsBackwardReference(logits, targets, dLogprobs, dEntropy, vocab, TEMPERATURE)),
    ...[array("uint16_t", "logits_bf16", half.bits), array("double", "want_half_logprobs", halfScores.logprobs)],
    array("double", "want_half_entropy", halfScores.entropy),
    array("double", "want_half_d_logits", tokenLogprobsBackwardReference(half.rounded, targets, dLogprobs, dEntropy, vocab, TEMPERATURE)),
    ...[array("float", "hidden", hidden.rounded), array("uint16_t", "hidden_bf16", hidden.bits)],
    ...[array("float", "weight", weight.rounded), array("uint16_t", "weight_bf16", weight.bits)],
    ...[array("double", "want_linear_logprobs", linear.logprobs), array("double", "want_linear_entropy", linear.entropy)],
    ...[array("double", "want_d_hidden", dHidden), array("double", "want_d_weight", dWeight)],
  ];
}

function rewardCases(random: Random): string[] {
  const beta = 0.4;
  const offsets = offsetsFrom([5, 1, 0, 17, 8, 16]);
  const groupOffsets = Int32Array.of(0, 3, 6);
  const [rows, n] = [offsets.length - 1, offsets[offsets.length - 1]];
  const prm = random.logprobs(n);
  const ref = prm.map((x) => x + 0.3 * random.normal());
  const { rewards, q, scores } = implicitRewardsReference(prm, ref, offsets, beta);
  const [stepEnds, stepOffsets] = [Int32Array.of(1, 4, 0, 3, 9, 16, 7), Int32Array.of(0, 2, 3, 3, 6, 7, 7)];
  const steps = stepRewardsReference(Float32Array.from(q), offsets, stepEnds, stepOffsets);
  const [process, outcome] = [Float32Array.from(rewards), Float32Array.of(1, 0, 0, 1, 1, 0)];
  const defaults = primeAdvantagesReference({ processRewards: process, outcomeRewards: outcome, offsets, groupOffsets });
  const settings = { baseline: "released", normalizeProcess: "batch", whiten: false, gammaProcess: 0.9, outcomeCoef: 2 } as const;
  const other = primeAdvantagesReference({ processRewards: process, outcomeRewards: outcome, offsets, groupOffsets, ...settings });
  return [
    ...[size("kTokens", n), size("kRows", rows), size("kGroups", 2), size("kSteps", stepEnds.length), number("beta", beta)],
    ...[array("int32_t", "offsets", offsets), array("int32_t", "group_offsets", groupOffsets)],
    ...[array("int32_t", "step_ends", stepEnds), array("int32_t", "step_offsets", stepOffsets)],
    ...[array("float", "prm", prm), array("float", "ref", ref), array("double", "prm64", prm), array("double", "ref64", ref)],
    ...[array("double", "want_rewards", rewards), array("double", "want_q", q), array("double", "want_scores", scores)],
    ...[array("float", "process_rewards", process), array("float", "outcome_rewards", outcome), array("float", "q_in", q)],
    ...[array("double", "want_cumulative", steps.cumulative), array("double", "want_per_step", steps.perStep)],
    ...[array("double", "want_advantages", defaults.advantages), array("double", "want_returns", defaults.returns)],
    ...[array("double", "want_other_advantages", other.advantages), array("double", "want_other_returns", other.returns)],
    ...ppoCases(random, offsets, prm, ref),
    ...prmCases(offsets, groupOffsets, prm, ref, beta),
  ];
}

function ppoCases(random: Random, offsets: Int32Array, prm: Float32Array, ref: Float32Array): string[] {
  const n = prm.length;
  const [advantages, entropy] = [random.normals(n), random.logprobs(n).map((x) => -x)];
  const old = prm.map((x) => x + 0.4 * random.normal());
  const plain = (logprobs: Values) => ppoReference({ logprobs, oldLogprobs: old, advantages, offsets });
  const settings = { clipLow: 0.1, clipHigh: 0.3, aggregate: "sequence-mean", dualClip: 3, entropyCoef: 0.02, klCoef: 0.05, normalizer: 7 } as const;
  const full = (logprobs: Values, h: Values = entropy) =>
    ppoReference({ logprobs, oldLogprobs: old, advantages, offsets, entropy: h, refLogprobs: ref, ...settings });
  const [at, h] = [Float64Array.from(prm), Float64Array.from(entropy)];
  const ends = Object.entries({ plain: plain(prm), full: full(prm) }).flatMap(([name, r]) => [
    ...[number(`want_${name}_loss`, r.loss), number(`want_${name}_clip`, r.clipFraction), number(`want_${name}_kl`, r.approxKl)],
    ...[number(`want_${name}_ratio`, r.ratioMax), number(`want_${name}_k3`, r.kl)],
  ]);
  return [
    ...[array("float", "advantages", advantages), array("float", "entropy", entropy), array("float", "old", old), array("double", "old64", old), ...ends],
    array(
      "double",
      "want_plain_gradient",
      finiteDifferences(() => plain(at).loss, at),
    ),
    array(
      "double",
      "want_full_gradient",
      finiteDifferences(() => full(at).loss, at),
    ),
    array(
      "double",
      "want_full_d_entropy",
      finiteDifferences(() => full(prm, h).loss, h),
    ),
  ];
}

function prmCases(offsets: Int32Array, groupOffsets: Int32Array, prm: Float32Array, ref: Float32Array, beta: number): string[] {
  const labels = Float32Array.of(1, 0, 0.25, 1, 0, 1);
  const groupScores = Float32Array.of(0.1, -0.2, 0.3, 0.2, -0.1, 0.05);
  const at = Float64Array.from(prm);
  const entropy = crossEntropyReference(prm, ref, offsets, labels, beta);
  const dpo = () => dpoReference(at, ref, offsets, labels, groupOffsets, beta, groupScores);
  return [
    ...[array("float", "labels", labels), array("float", "group_scores", groupScores), array("double", "want_probabilities", entropy.probabilities)],
    ...[number("want_ce_loss", entropy.loss), number("want_accuracy", entropy.accuracy), number("want_dpo_loss", dpo())],
    number("want_dpo_current_loss", dpoReference(prm, ref, offsets, labels, groupOffsets, beta)),
    array(
      "double",
      "want_ce_gradient",
      finiteDifferences(() => crossEntropyReference(at, ref, offsets, labels, beta).loss, at),
    ),
    array("double", "want_dpo_gradient", finiteDifferences(dpo, at)),
  ];
}
