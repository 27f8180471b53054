// A cleaned formula in tokens.
import { NotMath } from "./limits.ts";

export interface Token {
  type: "number" | "letter" | "command" | "word" | "sign" | "newline" | "end";
  text: string; // of a command without its backslash; of a word its text
  spaced: boolean; // white space stands before it
}

/** Tokens of a formula as cleanFormula() leaves it; the last is of type "end". Throws NotMath at a character no formula has. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let depth = 0; // inside brackets a comma always separates
  let at = 0;
  while (at < text.length) {
    const start = skipSpace(text, at);
    const spaced = start > at;
    if (start === text.length) break;
    const last = tokens.at(-1);
    const next = readToken(text, start, depth, last);
    if (next.type === "sign" && "([".includes(next.text)) depth++;
    if (next.type === "sign" && ")]".includes(next.text)) depth = Math.max(0, depth - 1);
    if (next.type === "command" && next.text === "{") depth++;
    if (next.type === "command" && next.text === "}") depth = Math.max(0, depth - 1);
    tokens.push(...next.tokens.map((token, i) => ({ ...token, spaced: i === 0 && spaced })));
    at = next.end;
  }
  return [...tokens, { type: "end", text: "", spaced: false }];
}

// --- internal ---

type Bare = Omit<Token, "spaced">;
type Read = Bare & { end: number; tokens: Bare[] };

const THOUSANDS = /(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d]|,\d)(?:\.\d+)?/y;
const NUMBER = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+(?![\d.]))?/y;
const COMMAND = /\\([a-zA-Z]+|.)/sy;
const LETTERS = /[a-zA-Z]+/y;
const WRAPPED =
  /\\(?:text|textbf|textit|textrm|textnormal|mbox|mathrm|rm|mathbf|mathit|mathsf|bf|bm|boldsymbol|operatorname\*?|mathbb|mathcal|overline|vec|hat|bar|tilde|dot|ddot|widehat|overrightarrow)(?![a-zA-Z])\s*\{([^{}]*)\}/y;
const ACCENTS = /^\\(overline|vec|hat|bar|tilde|dot|ddot|widehat|overrightarrow|mathbb|mathcal)/;

function skipSpace(text: string, at: number): number {
  while (at < text.length && /\s/.test(text[at])) at++;
  return at;
}

const match = (pattern: RegExp, text: string, at: number): RegExpExecArray | null => {
  pattern.lastIndex = at;
  return pattern.exec(text);
};

function one(type: Token["type"], text: string, end: number): Read {
  return { type, text, end, tokens: [{ type, text }] };
}

function readToken(text: string, at: number, depth: number, last: Token | undefined): Read {
  const wrapped = match(WRAPPED, text, at);
  if (wrapped) return wrappedToken(wrapped, at + wrapped[0].length, last);
  const thousands = depth === 0 ? match(THOUSANDS, text, at) : null;
  if (thousands) return one("number", thousands[0].replaceAll(",", ""), at + thousands[0].length);
  const number = match(NUMBER, text, at);
  if (number) return one("number", number[0], at + number[0].length);
  const letters = match(LETTERS, text, at);
  if (letters) return many(splitLetters(letters[0], last), at + letters[0].length);
  const command = match(COMMAND, text, at);
  if (command) return commandToken(command[1], at + command[0].length);
  const two = text.slice(at, at + 2);
  if (two in PAIRS) return one("command", PAIRS[two], at + 2);
  const c = text[at];
  if (c === "\ue000") return one("newline", c, at + 1);
  if (/[-+*/^_=<>!,;:()[\]{}|&'%°]/.test(c)) return one("sign", c, at + 1);
  throw new NotMath(`the character ${JSON.stringify(c)}`);
}

const PAIRS: Record<string, string> = { "<=": "leq", ">=": "geq", "!=": "neq", "==": "eq", "**": "pow" };

function many(tokens: Bare[], end: number): Read {
  return { ...tokens[0], end, tokens };
}

/** \text{…}: a separator, a single symbol or number, or a word. \mathrm{x}: x. \vec{v}: a symbol of its own. */
function wrappedToken(found: RegExpExecArray, end: number, last: Token | undefined): Read {
  const content = found[1].replace(/~/g, " ").trim();
  const accent = ACCENTS.exec(found[0]);
  if (accent) return one("letter", `${accent[1]} ${content.replace(/\s+/g, "")}`, end);
  if (/^[,;]?\s*(?:and|or)\s*[,;]?$/i.test(content)) return one("command", "and", end);
  if (/^[a-zA-Z]$/.test(content)) return last?.type === "number" && found[1].trim() !== found[1] ? one("word", content, end) : one("letter", content, end);
  if (/^\d+(?:\.\d+)?$/.test(content)) return one("number", content, end);
  if (FUNCTIONS.has(content)) return one("command", content, end);
  if (content === "") return { ...one("word", "", end), tokens: [] };
  return /^(?:percent|pct|percentage)$/i.test(content) ? one("sign", "%", end) : one("word", content, end);
}

function commandToken(name: string, end: number): Read {
  if (name === "cr" || name === "newline") return one("newline", name, end);
  if (name.length === 1 || KNOWN.has(name)) return one("command", SAME[name] ?? name, end);
  const prefix = [...FUNCTIONS].find((f) => name.startsWith(f) && name.length === f.length + 1); // \cotx, its space lost
  if (prefix)
    return many(
      [
        { type: "command", text: prefix },
        { type: "letter", text: name.slice(-1) },
      ],
      end,
    );
  return one("letter", `\\${name}`, end); // Greek letters and the like: a symbol
}

/** A run of letters: a function's name, and/or, a unit or word, or single letters. */
function splitLetters(run: string, last: Token | undefined): Bare[] {
  if (FUNCTIONS.has(run) || run === "sqrt" || run === "pi" || run === "and" || run === "or") return [{ type: "command", text: run === "or" ? "and" : run }];
  if (run === "infinity" || run === "inf" || run === "oo") return [{ type: "command", text: "infty" }];
  if (/^(?:percent|pct|percentage)$/i.test(run)) return [{ type: "sign", text: "%" }];
  const joined = /^(and|or)(?=[A-Z]|$)|^(sin|cos|tan|cot|log|ln)(?=[a-z]$)/.exec(run); // 1orW, sinx
  if (joined) return [{ type: "command", text: joined[1] ? "and" : joined[2] }, ...Array.from(run.slice(joined[0].length), letter)];
  const afterValue = last !== undefined && (last.type === "number" || (last.type === "sign" && ")}]".includes(last.text)));
  if (run === "per" || (afterValue && UNITS_OF_TWO.has(run))) return [{ type: "word", text: run }];
  if (run.length >= 4 && run !== run.toUpperCase() && !"abcdefghijklmnopqrstuvwxyz".includes(run)) return [{ type: "word", text: run }];
  return Array.from(run, letter);
}

const letter = (text: string): Bare => ({ type: "letter", text });

export const FUNCTIONS: ReadonlySet<string> = new Set(
  "arcsin arccos arctan arccot asin acos atan sinh cosh tanh sin cos tan cot sec csc log ln lg exp min max gcd lcm det floor ceil abs".split(" "),
);
const UNITS_OF_TWO: ReadonlySet<string> = new Set(["cm", "mm", "km", "kg", "mg", "ft", "mi", "mL", "ml", "Hz", "nm", "mph", "hr", "min", "sec", "deg"]);

/** Other spellings of a command. */
const SAME: Record<string, string> = {
  le: "leq",
  leqslant: "leq",
  leqq: "leq",
  ge: "geq",
  geqslant: "geq",
  geqq: "geq",
  ne: "neq",
  lt: "<",
  gt: ">",
  lvert: "|",
  rvert: "|",
  mid: "|",
  vert: "|",
  lbrace: "{",
  rbrace: "}",
  ldots: "dots",
  cdots: "dots",
  ast: "times",
  div: "over/",
  colon: ":",
  "&": "and",
  vee: "and",
  lor: "and",
  mod: "bmod",
  varnothing: "emptyset",
  bigcup: "cup",
  thickapprox: "approx",
  simeq: "approx",
  lg: "log",
};
const KNOWN: ReadonlySet<string> = new Set([
  ...FUNCTIONS,
  ...Object.keys(SAME),
  ..."frac sqrt binom pi infty pm mp times cdot cup cap setminus in leq geq neq approx equiv to sum prod int lim bmod pmod dots".split(" "),
  ..."lfloor rfloor lceil rceil langle rangle begin end and emptyset implies Rightarrow".split(" "),
]);
