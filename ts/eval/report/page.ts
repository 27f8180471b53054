// A report of judged answers as one HTML page that needs nothing else: every token coloured by its process reward, Q as a line under the text.

import { createHash } from "node:crypto";
import type { ScoredAnswer } from "../process.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

export interface ReportOptions {
  title: string;
  /** Facts under the title: models, beta, where the answers come from. */
  facts?: readonly (readonly [name: string, value: string])[];
}

/**
 * The page. Texts of models and data only ever reach it as JSON that cannot end its script element, and are put on the screen as text nodes; a content
 * security policy allows the page's own script and style by their digests, and nothing else: no request, no other script.
 */
export function renderReport(answers: readonly ScoredAnswer[], { title, facts = [] }: ReportOptions): string {
  const policy = `default-src 'none'; script-src '${digest(SCRIPT)}'; style-src '${digest(STYLE)}'; img-src data:; base-uri 'none'; form-action 'none'`;
  return [
    "<!doctype html>",
    '<html lang="en">',
    "<head>",
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    '<link rel="icon" href="data:,">',
    `<title>${escapeHtml(title)}</title>`,
    `<style>${STYLE}</style>`,
    "</head>",
    "<body>",
    '<noscript>This report draws itself with JavaScript, which is switched off.</noscript><main id="app"></main>',
    `<script type="application/json" id="data">${embedJson({ title, facts, answers: answers.map(compact) })}</script>`,
    `<script>${SCRIPT}</script>`,
    "</body>",
    "</html>",
    "",
  ].join("\n");
}

/** JSON that is safe inside a script element: no character in it can end the element, open a comment or be a line end to JavaScript. */
export function embedJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export function escapeHtml(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => names[character]);
}

// --- internal ---

/** An answer with short keys and rounded numbers: a page of 1,000 answers stays a few megabytes. */
function compact({ id, prompt, label, score, steps, truncated }: ScoredAnswer) {
  return {
    id,
    prompt,
    ...(label === undefined ? {} : { label }),
    score: round(score),
    ...(truncated ? { cut: 1 } : {}),
    steps: steps.map((step) => ({
      r: round(step.reward),
      q: round(step.q),
      ...(step.label === undefined ? {} : { label: step.label }),
      t: step.tokens ? step.tokens.map((token) => token.text) : [step.text],
      v: step.tokens ? step.tokens.map((token) => round(token.reward)) : [round(step.reward)],
    })),
  };
}

function round(x: number): number {
  return Number(x.toPrecision(4));
}

function digest(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
