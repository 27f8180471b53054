// Which part of a response is its answer.
import { lastBoxes } from "./boxes.ts";
import { cleanWords, isWords } from "./clean.ts";

/** What a response must look like: "boxed" takes \boxed{} or \fbox{} alone; "lenient" also usual phrases (a "final answer" after the last box outdoes it), and at last the last formula. */
export type Extraction = "boxed" | "lenient";

export interface Extracted {
  text: string;
  from: string; // where it was found, to complete "from …"
}

/** The answer in a response, or undefined. `gold` only says what kind of answer to look for: a choice's letter, words or a formula. */
export function extractAnswer(response: string, mode: Extraction, gold: string): Extracted | undefined {
  const text = afterThinking(response);
  const boxed = lastBoxes(text);
  const inBox = boxed && { text: boxed.content, from: "the last \\boxed{}" };
  if (mode === "boxed" || (boxed && !/\bfinal answer\b/i.test(text.slice(Math.max(boxed.end, text.length - MAX_TAIL))))) return inBox;
  const tag = /<answer>([^<]*)<\/answer>\s*$/i.exec(text.slice(-MAX_TAIL));
  if (tag) return { text: tag[1].trim(), from: "the <answer> tag" };
  const tail = text
    .slice(-MAX_TAIL)
    .replace(/<\|[a-z_]{1,20}\|>\w{0,12}/g, " ")
    .replaceAll("**", "");
  return afterPhrase(tail, kindOf(gold)) ?? inBox ?? withoutPhrase(tail, kindOf(gold));
}

/** The answer that a reference states: its boxes, what follows "####" or "the answer is", else all of it. */
export function referenceAnswer(gold: string): string {
  const boxed = lastBoxes(gold)?.content ?? /\\boxed\{([\s\S]{1,500})$/.exec(gold.slice(-600))?.[1]; // a reference may be cut off
  if (boxed !== undefined) return boxed;
  const phrase = afterPhrase(gold.slice(-MAX_TAIL), "formula");
  return phrase ? phrase.text : gold.trim();
}

/** The letter of a multiple choice answer: "C", "(C)", "\text{C.}", and with `text` behind it "(C) 12" or "C: 12". */
export function choiceOf(text: string): { letter: string; rest: string } | undefined {
  if (text.length > 300) return undefined;
  const plain = text.replace(/\\(?:text|textbf|mathrm|mathbf|mbox)(?![a-zA-Z])|[${}]|\\[()[\]]/g, "").trim();
  const found = /^(?:\(([A-Z])\)|([A-Z])(?=$|[).:])[).:]?)[.:,]?(?:\s+(\S[\s\S]*))?$/.exec(plain);
  return found ? { letter: found[1] ?? found[2], rest: (found[3] ?? "").trim() } : undefined;
}

// --- internal ---

type Kind = "choice" | "words" | "formula";

/** Phrases and formulas are looked for at the end of a response only. */
const MAX_TAIL = 6_000;
const PHRASE = /\banswers?\s*(?:is|are|[:：])|^A:|réponse\s*(?:est|:)|答案(?:[:：是为])|####/gim;

function kindOf(gold: string): Kind {
  if (choiceOf(gold)) return "choice";
  return isWords(gold) ? "words" : "formula";
}

/** What follows the reasoning of a model that marks it; nothing where the reasoning breaks off. */
function afterThinking(text: string): string {
  const end = text.lastIndexOf("</think>");
  if (end >= 0) return text.slice(end + 8);
  return text.trimStart().startsWith("<think>") ? "" : text;
}

function afterPhrase(text: string, kind: Kind): Extracted | undefined {
  const found = [...text.matchAll(PHRASE)].at(-1);
  if (!found) return undefined;
  const rest = text.slice(found.index + found[0].length).replace(/^[\s:：]+/, "");
  const line = firstSentence(rest);
  const answer = refine(line, kind);
  return answer === undefined ? undefined : { text: answer, from: JSON.stringify(found[0].trim()) };
}

function withoutPhrase(text: string, kind: Kind): Extracted | undefined {
  const whole = text.trim();
  const letter = kind === "choice" ? /^\(?([A-Z])\)?(?:[.,:)。、]|$|\P{ASCII})/u.exec(whole) : null;
  if (letter) return { text: letter[1], from: "the letter it begins with" };
  if (whole !== "" && whole.length <= 300 && (kind === "words" || !isProse(whole))) return { text: whole, from: "the whole response" };
  const formulas = [...formulasIn(text), ...numbersIn(text)];
  const last = formulas.reduce<Found | undefined>((best, found) => (best && best.end >= found.end ? best : found), undefined);
  return last && { text: last.text, from: last.kind };
}

/** Up to a full stop, an end of line, or the end; full stops inside $…$ do not count. */
function firstSentence(text: string): string {
  let inMath = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "$") inMath = !inMath;
    if (text[i] === "\n" && !inMath && text.slice(0, i).trim() !== "" && !/\\\[[^\]]*$/.test(text.slice(Math.max(0, i - 200), i))) return text.slice(0, i);
    if ("。！？".includes(text[i]) || (!inMath && ".!?".includes(text[i]) && /^(?:\s|$)/.test(text.slice(i + 1, i + 2)))) return text.slice(0, i);
  }
  return text;
}

/** The answer in a sentence that follows "the answer is". */
function refine(sentence: string, kind: Kind): string | undefined {
  const plain = sentence.trim();
  if (plain === "") return undefined;
  const letter = kind === "choice" ? /(?<![A-Za-z'])([A-Z])(?![A-Za-z'])/.exec(plain) : null;
  if (letter) return letter[1];
  if (kind === "words" || !isProse(plain)) return plain;
  const end = plain.split(/\b(?:is|are|equals|est|be)\b/).at(-1) as string;
  if (end.trim() !== "" && !isProse(end)) return end.trim();
  const formula = formulasIn(plain).at(-1) ?? numbersIn(plain).at(0);
  return formula ? formula.text : plain;
}

/** A word that belongs to no formula: not a function, a separator or a unit. */
function isProse(text: string): boolean {
  const bare = text.replace(/\\(?:text|mbox|mathrm)\{[^{}]*\}|\\(?:begin|end)\{[a-z]+\*?\}(?:\{[lcr|]+\})?|\\[a-zA-Z]+/g, " ");
  return /[\u3040-\u30ff\u4e00-\u9fff]{2}/.test(bare) || (cleanWords(bare).match(/\p{L}{3,}/gu) ?? []).some((word) => !FORMULA_WORD.test(word));
}

const FORMULA_WORD = new RegExp(
  `^(?:and\\w?|or\\w|sin|cos|tan|cot|sec|csc|log|exp|sqrt|arc\\w+|max|min|mod|gcd|lcm|inf|infinity|percent(?:age)?|pct|degrees?|square|cubic|units?|dollars?|cents?|${[
    "(?:centi|milli|kilo)?(?:met(?:er|re)|gram)s?|inch(?:es)?|feet|foot|miles?|yards?|hours?|minutes?|seconds?|days?|years?|lit(?:er|re)s?|mph",
  ]})$`,
);

interface Found {
  text: string;
  end: number;
  kind: string;
}

/** $…$, \(…\) and \[…\] that hold no prose. */
function formulasIn(text: string): Found[] {
  const found: Found[] = [];
  const pattern = /\${1,2}([^$\n]{1,400})\${1,2}|\\\(([^\n]{1,400}?)\\\)|\\\[([\s\S]{1,600}?)\\\]/g;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const inside = match[1] ?? match[2] ?? match[3];
    if (isProse(inside)) pattern.lastIndex = match.index + 1;
    else if (inside.trim() !== "") found.push({ text: inside.trim(), end: match.index + match[0].length, kind: "the last formula" });
  }
  return found;
}

function numbersIn(text: string): Found[] {
  const pattern = /(?:(?<![\w)}])-\s?)?(?:\\[dt]?frac\{[^{}]{1,40}\}\{[^{}]{1,40}\}|\d[\d,]*(?:\.\d+)?(?:\/\d+)?|\.\d+)(?:\s?(?:\\?%|percent))?/g;
  return [...text.matchAll(pattern)].map((match) => ({ text: match[0].replace(/,+$/, ""), end: match.index + match[0].length, kind: "the last number" }));
}
