// Judged answers as text for a terminal: a line per step with its reward as a bar to the left (against) or the right (for), Q as a row of blocks.

import type { ScoredAnswer } from "../process.ts";

export interface TextReportOptions {
  width?: number; // columns, default 100
  /** Colours by escape sequences. Default off. */
  colour?: boolean;
}

const BAR = 8; // columns on either side of the axis
const BLOCKS = "▁▂▃▄▅▆▇█";
const CODES = { red: "31", green: "32", blue: "34", yellow: "33", dim: "2", bold: "1" } as const;

/** One answer: verdict, question, steps with reward and bar, and the course of Q. Control characters in texts are shown, not carried out. */
export function renderAnswerText(answer: ScoredAnswer, { width = 100, colour = false }: TextReportOptions = {}): string {
  const paint = (code: keyof typeof CODES, text: string) => (colour ? `\u001b[${CODES[code]}m${text}\u001b[0m` : text);
  const largest = Math.max(...answer.steps.map((step) => Math.abs(step.reward)), 1e-12);
  const lowest = Math.min(...answer.steps.map((step) => step.reward));
  const verdict = answer.label === undefined ? "·" : answer.label > 0.5 ? paint("green", "✓ right") : paint("red", "✗ wrong");
  const room = Math.max(20, width - 2 * BAR - 14);
  const lines = answer.steps.map((step) => {
    const isLow = step.reward === lowest && lowest < 0 && answer.steps.length > 1;
    const note = step.label === undefined ? "" : paint("dim", step.label > 0.5 ? "  right so far" : "  astray");
    const body = clip(step.text, room);
    return `${paint(isLow ? "yellow" : "dim", signed(step.reward).padStart(8))} ${bar(step.reward / largest, paint)} ${isLow ? paint("bold", body) : body}${note}`;
  });
  const head = `${verdict}  ${clip(answer.prompt, room)}  ${paint("dim", `Q ${signed(answer.score)}${answer.truncated ? ", cut off" : ""}`)}`;
  return [head, ...lines, paint("dim", `       Q ${qLine(answer, Math.min(width - 12, 72))}`)].join("\n");
}

// --- internal ---

function signed(x: number): string {
  return `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(Math.abs(x) < 0.1 ? 3 : 2)}`;
}

function bar(share: number, paint: (code: keyof typeof CODES, text: string) => string): string {
  const cells = Math.min(BAR, Math.round(Math.abs(share) * BAR));
  const left = share < 0 ? paint("red", "█".repeat(cells)) : "";
  const right = share > 0 ? paint("blue", "█".repeat(cells)) : "";
  return `${" ".repeat(BAR - (share < 0 ? cells : 0))}${left}│${right}${" ".repeat(BAR - (share > 0 ? cells : 0))}`;
}

/** Q at the tokens (or, without these, at the steps), in at most `columns` blocks between its lowest and highest value. */
function qLine({ steps }: ScoredAnswer, columns: number): string {
  const q = steps.flatMap((step) => {
    let at = step.q - step.reward;
    return (step.tokens ?? [{ reward: step.reward }]).map(({ reward }) => {
      at += reward;
      return at;
    });
  });
  const [low, high] = [Math.min(0, ...q), Math.max(0, ...q)];
  const cells = Math.min(columns, q.length);
  const shown = Array.from({ length: cells }, (_, i) => q[Math.floor(((i + 1) * q.length) / cells) - 1]);
  const blocks = shown.map((value) => BLOCKS[Math.min(BLOCKS.length - 1, Math.floor(((value - low) / (high - low || 1)) * BLOCKS.length))]);
  return `${blocks.join("")}  ${signed(low)} … ${signed(high)}`;
}

function clip(text: string, room: number): string {
  const flat = text
    .trim()
    .replace(/\s*\n\s*/g, " ⏎ ")
    .replace(/\p{Cc}/gu, "\uFFFD");
  return flat.length > room ? `${flat.slice(0, room - 1)}…` : flat;
}
