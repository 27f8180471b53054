// What the model cards of a run's checkpoints say: figures of the run so far, none of which depends on the machine's speed.

import type { ModelCard } from "../model.ts";
import type { SftConfig } from "./config.ts";
import type { PrimeTrainer } from "./prime_trainer.ts";

/** The card of a PRIME run's policy or implicit PRM. */
export function primeCard({ config, state, task }: PrimeTrainer, role: "policy" | "prm"): ModelCard {
  const evaluated = state.history.filter((point) => point.evalAccuracy !== undefined);
  const text =
    role === "policy"
      ? `A language model trained on the task "${task.name}" with ${config.algo} reinforcement learning.`
      : `The implicit process reward model of a ${config.algo} run on the task "${task.name}": the reward of a token is ${config.prmBeta} times the log-ratio of its probability under this model and under the run's reference model.`;
  return {
    title: role === "policy" ? `${task.name}, policy` : `${task.name}, implicit process reward model`,
    text,
    figures: {
      steps: `${state.step} of ${config.steps}`,
      "held-out accuracy, first": evaluated.at(0)?.evalAccuracy,
      "held-out accuracy, last": evaluated.at(-1)?.evalAccuracy,
      "accuracy of the last step's answers": state.history.findLast((point) => point.accuracy !== undefined)?.accuracy,
      "right-wrong pairs the PRM orders rightly, last step": state.history.findLast((point) => point.pairAccuracy !== undefined)?.pairAccuracy,
      "tokens generated": String(state.tokens.generated),
      "tokens trained on": String(state.tokens.trained),
      "skipped updates": String(state.policySkips.total + state.prmSkips.total),
    },
    settings: config,
  };
}

/** The card of a fine-tuned model. */
export function sftCard(
  task: string | undefined,
  config: SftConfig,
  step: number,
  loss: number | undefined,
  accuracies: readonly { accuracy: number }[],
): ModelCard {
  return {
    title: `${task ?? "A dataset"}, fine-tuned`,
    text: `A language model fine-tuned on ${task === undefined ? "the examples of a dataset" : `the demonstrations of the task "${task}"`}.`,
    figures: {
      steps: `${step} of ${config.steps}`,
      "loss of the last step": loss,
      "held-out accuracy, first": accuracies.at(0)?.accuracy,
      "held-out accuracy, last": accuracies.at(-1)?.accuracy,
    },
    settings: config,
  };
}
