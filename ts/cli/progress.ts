// Progress of a run on the terminal: one bar with accuracy, tokens/s and time left; plain lines where there is no terminal.
import cliProgress from "cli-progress";
import type { TrainEvent } from "../train/events.ts";
import { count, duration, percent } from "./format.ts";

export interface Progress {
  onEvent(event: TrainEvent): void;
  /** A line of its own, above the bar. */
  say(line: string): void;
  stop(): void;
}

const TITLES = { sft: "Fine-tuning", prime: "PRIME", prm: "PRM" } as const;
const PHASES = {
  rollout: "sampling",
  verify: "verifying",
  score: "scoring",
  prm: "PRM",
  policy: "policy",
  train: "training",
  eval: "evaluating",
  save: "saving",
} as const;
const LINE_EVERY_MS = 5000;

export function createProgress(stream: NodeJS.WriteStream, now: () => number = () => performance.now()): Progress {
  return stream.isTTY ? barProgress(stream, now) : lineProgress(stream, now);
}

/** What the last events said, as the fields of a line. */
export class Figures {
  private readonly now: () => number;
  private readonly began: number;
  private first: { at: number; step: number } | undefined;
  trainer: TrainEvent["trainer"] | undefined;
  step = 0;
  steps = 0;
  phase = "";
  accuracy: number | undefined;
  loss: number | undefined;
  tokensPerSecond: number | undefined;

  constructor(now: () => number) {
    this.now = now;
    this.began = now();
  }

  update(event: TrainEvent): void {
    if (event.trainer !== this.trainer) this.start(event);
    this.step = event.step;
    if ("steps" in event) this.steps = event.steps;
    if (event.type === "phase") this.phase = PHASES[event.phase] + (event.total ? ` ${Math.floor((100 * (event.done ?? 0)) / event.total)} %` : "");
    if (event.type === "eval") this.accuracy = event.accuracy ?? this.accuracy;
    if (event.type !== "step") return;
    this.first ??= { at: this.now(), step: event.step }; // the first step warms caches up, so rates count from its end
    this.accuracy = event.metrics[event.trainer === "prm" ? "prm/accuracy" : "rollout/accuracy"] ?? this.accuracy;
    this.loss = event.metrics["sft/loss"];
    this.tokensPerSecond = event.metrics["time/tokensPerSecond"];
  }

  elapsed(): number {
    return (this.now() - this.began) / 1000;
  }

  /** Seconds to the last step, at the mean pace so far; undefined before there is a pace. */
  left(): number | undefined {
    if (!this.first || this.step <= this.first.step) return undefined;
    return (((this.now() - this.first.at) / 1000) * (this.steps - this.step)) / (this.step - this.first.step);
  }

  text(): string {
    const measure = this.trainer === "sft" && this.loss !== undefined ? `loss ${this.loss.toFixed(3)}` : `accuracy ${percent(this.accuracy)}`;
    return `${measure} · ${count(this.tokensPerSecond)} tok/s · ${duration(this.left())} left`;
  }

  private start(event: TrainEvent): void {
    this.trainer = event.trainer;
    this.first = undefined;
    this.loss = undefined;
    this.tokensPerSecond = undefined;
  }
}

// --- internal ---

function title(event: TrainEvent): string {
  return TITLES[event.trainer];
}

/** What is worth a line of its own. */
function remark(event: TrainEvent): string | undefined {
  if (event.type === "eval") {
    const figures = [
      event.accuracy === undefined ? [] : `accuracy ${percent(event.accuracy)}`,
      event.loss === undefined ? [] : `loss ${event.loss.toFixed(4)}`,
    ].flat();
    return `${title(event)} ${event.step}/${event.steps}: held-out ${figures.join(", ")}`;
  }
  if (event.type === "warning") return `${title(event)} ${event.step}: ${event.message}`;
  return undefined;
}

function lineProgress(stream: NodeJS.WriteStream, now: () => number): Progress {
  const figures = new Figures(now);
  let last = Number.NEGATIVE_INFINITY;
  const say = (line: string) => void stream.write(`${line}\n`);
  return {
    say,
    stop: () => undefined,
    onEvent(event) {
      figures.update(event);
      const text = remark(event);
      if (text) say(text);
      const isDue = event.type === "step" && (now() - last >= LINE_EVERY_MS || event.step === event.steps);
      if (!isDue) return;
      last = now();
      say(`${title(event)} ${figures.step}/${figures.steps} · ${figures.text()}`);
    },
  };
}

function barProgress(stream: NodeJS.WriteStream, now: () => number): Progress {
  const figures = new Figures(now);
  const format = "{title} {bar} {value}/{total} · {text} · {phase}";
  const bars = new cliProgress.MultiBar({
    stream,
    format,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 24,
    hideCursor: true,
    clearOnComplete: false,
    autopadding: false,
    linewrap: false,
  });
  let bar: cliProgress.SingleBar | undefined;
  let trainer: string | undefined;
  let running = true;
  const say = (line: string) => (bar && running ? bars.log(`${line}\n`) : void stream.write(`${line}\n`));
  return {
    say,
    stop() {
      if (!running) return;
      running = false;
      bars.update(); // prints what was said since the last refresh
      bars.stop();
    },
    onEvent(event) {
      figures.update(event);
      const fields = { title: title(event), text: figures.text(), phase: figures.phase };
      if (event.trainer !== trainer) bar = bars.create(figures.steps, figures.step, fields);
      trainer = event.trainer;
      bar?.setTotal(figures.steps);
      bar?.update(figures.step, fields);
      const text = remark(event);
      if (text) say(text);
    },
  };
}
