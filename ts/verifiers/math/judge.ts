// One answer against its reference, as far as this process can tell; what only the symbolic step can tell comes back as a question.
import type { Verdict } from "../types.ts";
import { cleanFormula, cleanWords, isWords } from "./clean.ts";
import { compareAnswers } from "./compare.ts";
import { type CompareOptions, type Context, type Decision, decide, type Question } from "./decision.ts";
import type { Expression } from "./expression.ts";
import { choiceOf, type Extracted, type Extraction, extractAnswer, referenceAnswer } from "./extract.ts";
import { MAX_ANSWER, MathLimit, NotMath, startWork } from "./limits.ts";
import { parseAnswer } from "./parse.ts";

export interface JudgeOptions extends CompareOptions {
  extract: Extraction;
}

export type Judgement = { verdict: Verdict; question?: undefined; extracted?: undefined } | { verdict?: undefined; question: Question; extracted: string };

/** `answers` holds what the symbolic step has said so far, by question key. Ends within milliseconds for any text. */
export function judge(response: string, reference: string, options: JudgeOptions, answers: Context["answers"]): Judgement {
  if (typeof response !== "string" || typeof reference !== "string") return failed(undefined, "The response and the reference answer must be strings.");
  startWork();
  let shown: string | undefined;
  try {
    const gold = referenceAnswer(reference);
    if (gold === "") return failed(undefined, "The reference answer is empty.");
    const whole = options.extract === "lenient" && response.trim() === reference.trim();
    const extracted = whole ? { text: gold, from: "the whole response" } : extractAnswer(response, options.extract, gold);
    const text = extracted?.text.trim() ?? "";
    if (!extracted || text === "") return { verdict: verdictOf("wrong", undefined, missing(options.extract)) };
    shown = text.length > 500 ? `${text.slice(0, 500)}…` : text;
    checkReadable(gold, text);
    const context: Context = { options, answers, open: undefined };
    const decision = decideText(gold, text) ?? decideFormulas(gold, text, context);
    if (decision.equal === undefined && context.open) return { question: context.open, extracted: shown };
    return { verdict: toVerdict(decision, { ...extracted, text: shown }) };
  } catch (error) {
    if (error instanceof MathLimit) return failed(shown, `It cannot be judged: ${error.message}.`);
    if (error instanceof RangeError) return failed(shown, "It cannot be judged: it is nested too deep."); // the stack, which is smaller in some runtimes
    return failed(shown, `This is a fault in the verifier: ${error instanceof Error ? error.message : String(error)}.`);
  }
}

// --- internal ---

/** Throws MathLimit for what is too long, and for control characters and such as turn the direction of writing round. */
function checkReadable(gold: string, text: string): void {
  if (text.length > MAX_ANSWER || gold.length > MAX_ANSWER) throw new MathLimit(`an answer longer than ${MAX_ANSWER} characters is not read`);
  if (text !== gold && Array.from(text).some(isUnreadable)) throw new MathLimit("the answer holds control characters");
}

const isUnreadable = (c: string): boolean =>
  (c < " " && !"\t\n\r".includes(c)) || c === "\u007f" || (c >= "\u202a" && c <= "\u202e") || (c >= "\u2066" && c <= "\u2069");

function missing(mode: Extraction): string {
  return mode === "boxed" ? "The response has no complete \\boxed{} answer." : "The response has no answer that could be found.";
}

function verdictOf(outcome: Verdict["outcome"], extracted: string | undefined, reason: string): Verdict {
  return { score: outcome === "correct" ? 1 : 0, outcome, extracted, reason };
}

const failed = (extracted: string | undefined, reason: string): Judgement => ({ verdict: verdictOf("error", extracted, reason) });

function toVerdict({ equal, step, note }: Decision, { text, from }: Extracted): Verdict {
  if (equal === undefined) return verdictOf("error", text, `It cannot be judged (${step}): ${note}. The answer is from ${from}.`);
  return verdictOf(equal ? "correct" : "wrong", text, `${equal ? "Equal" : "Not equal"} by ${step}: ${note}. The answer is from ${from}.`);
}

/** What needs no reading: the same text, the same choice, the same words. */
function decideText(gold: string, answer: string): Decision | undefined {
  if (gold === answer) return decide(true, "text", "it is the reference, character by character");
  const [a, b] = [choiceOf(gold), choiceOf(answer)];
  if (a && b) return decide(a.letter === b.letter, "text", a.letter === b.letter ? `both choose ${a.letter}` : `it chooses ${b.letter}, not ${a.letter}`);
  if (a?.rest && cleanWords(a.rest) === cleanWords(answer)) return decide(true, "text", `it is the text of choice ${a.letter}`);
  if (compact(gold) === compact(answer)) return decide(true, "text", "they are the same but for spaces and spelling");
  if (!isWords(gold) && !isWords(answer)) return undefined;
  const same = cleanWords(gold) === cleanWords(answer);
  if (same) return decide(true, "text", "the words are the same");
  return isWords(gold) ? decide(false, "text", "the words differ") : undefined;
}

function compact(text: string): string {
  return cleanFormula(text)
    .replace(/\\(?:mathrm|text|textbf|mathbf|operatorname)(?![a-zA-Z])/g, "")
    .replace(/\s+/g, "")
    .replace(/\{([a-zA-Z0-9])\}/g, "$1");
}

function decideFormulas(gold: string, answer: string, context: Context): Decision {
  if (isDecimalComma(compact(answer), compact(gold))) return decide(true, "text", "they are the same but for a decimal comma");
  const a = read(gold);
  if (!a) return decide(false, "text", "the reference is no formula, and the texts differ");
  const b = read(answer);
  return b ? compareAnswers(a, b, context) : decide(false, "text", "it is no formula, and the texts differ");
}

/** A decimal comma in the answer (1000,99) counts where the reference has the same digits with a decimal point. A reference 1,22 is a list. */
function isDecimalComma(answer: string, gold: string): boolean {
  return /^[-+]?\d+,\d+$/.test(answer) && !/^[-+]?\d{1,3},\d{3}$/.test(answer) && answer.replace(",", ".") === gold;
}

function read(text: string): Expression | undefined {
  try {
    return parseAnswer(text);
  } catch (error) {
    if (error instanceof NotMath) return undefined;
    throw error;
  }
}
