// One spelling for what LaTeX and Unicode spell in many ways. All patterns are linear in the text.

/** The formula without delimiters, spacing and size commands, with ASCII or one LaTeX command for each sign. */
export function cleanFormula(text: string): string {
  let s = text.replace(/[\u200b-\u200f\u2060-\u2063\ufeff]/g, "");
  s = s.replace(/[⁰¹²³⁴-⁹⁻]+/g, (run) => `^{${Array.from(run, (c) => SUPERSCRIPTS[c]).join("")}}`);
  s = s.replace(/[₀-₉]+/g, (run) => `_{${Array.from(run, (c) => String(c.charCodeAt(0) - 0x2080)).join("")}}`);
  s = s.replace(/\P{ASCII}/gu, (c) => UNICODE[c] ?? c).normalize("NFKC");
  if (!s.includes("\\begin")) s = s.replace(/\\\\(?=[a-zA-Z])/g, "\\"); // an escape too many
  s = s.replaceAll("\\\\", "\ue000"); // the end of a row
  s = s.replace(/\\(?:begin|end)\{(?:align|aligned|equation|gather|gathered)\*?\}/g, " ");
  s = s.replace(/(\d)(?: ?\{, ?\}|,\\!|\\,|\\!|\\ |~)[ ]?(?=\d{3}(?!\d))/g, "$1"); // thousands, as typeset
  s = s.replace(/\\\$|\$|\\[()[\]]|[€£¥₹]/g, " ");
  s = s.replace(/\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits|hfill|boxed(?=\{)|fbox(?=\{))(?![a-zA-Z])\.?/g, "");
  s = s.replace(/\\(?:q?quad|hspace\{[^{}]{0,20}\}|[,;:! ])|~/g, " ");
  s = s.replace(/\\[dtc]frac(?![a-zA-Z])/g, "\\frac").replace(/\\[dt]binom(?![a-zA-Z])/g, "\\binom");
  s = s.replace(/\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-zA-Z]))|\\degrees?(?![a-zA-Z])/g, "°");
  s = s.replace(/\^\s*\{\s*((?:\\prime\s*)+)\}|\^\s*(\\prime)(?![a-zA-Z])/g, (_, many: string | undefined) =>
    "'".repeat(many ? many.split("prime").length - 1 : 1),
  );
  s = s.replace(/\\%/g, "%").trim();
  while (/[.\s\\\ue000]$/.test(s)) s = s.slice(0, -1); // "5." and "185\\"
  return s;
}

/** Lower-case words for answers that are words: no articles, punctuation, wrappers or dollar signs. */
export function cleanWords(text: string): string {
  const plain = text
    .normalize("NFKC")
    .replace(/\\(?:text|textbf|textit|textrm|mathrm|mbox|operatorname)(?![a-zA-Z])\*?|[${}"“”'’*]|\\[,;:! ()[\]]|~/g, " ")
    .toLowerCase();
  return plain
    .replace(/[.,!?;:]+(?=\s|$)/g, " ")
    .replace(/(?:^|\s)(?:the|an?)(?=\s)/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}

/** Is the answer words rather than a formula? A run of letters that names no function, and nothing to calculate with. */
export function isWords(text: string): boolean {
  const plain = text.replace(/\\(?:text|textbf|textit|textrm|mathrm|mbox)(?![a-zA-Z])|\\[,;:! ()[\]]|\\q?quad(?![a-zA-Z])|[${}~]/g, " ");
  return /\p{L}{3}/u.test(plain) && !/[\d\\+*/^=<>_|≤≥]/.test(plain);
}

// --- internal ---

const SUPERSCRIPTS: Record<string, string> = { "⁰": "0", "¹": "1", "²": "2", "³": "3", "⁴": "4", "⁵": "5", "⁶": "6", "⁷": "7", "⁸": "8", "⁹": "9", "⁻": "-" };

const UNICODE: Record<string, string> = {
  "−": "-",
  "–": "-",
  "—": "-",
  "×": "\\times ",
  "·": "\\cdot ",
  "⋅": "\\cdot ",
  "∙": "\\cdot ",
  "÷": "/",
  "⁄": "/",
  "∕": "/",
  "√": "\\sqrt ",
  "∛": "\\sqrt[3]",
  π: "\\pi ",
  "∞": "\\infty ",
  "≤": "\\leq ",
  "⩽": "\\leq ",
  "≥": "\\geq ",
  "⩾": "\\geq ",
  "≠": "\\neq ",
  "≈": "\\approx ",
  "±": "\\pm ",
  "∓": "\\mp ",
  "∪": "\\cup ",
  "∩": "\\cap ",
  "∈": "\\in ",
  "∅": "\\emptyset ",
  "∑": "\\sum ",
  "∏": "\\prod ",
  "′": "'",
  "″": "''",
  "⌊": "\\lfloor ",
  "⌋": "\\rfloor ",
  "⌈": "\\lceil ",
  "⌉": "\\rceil ",
  "⟨": "\\langle ",
  "⟩": "\\rangle ",
  "½": "\\frac12 ",
  "⅓": "\\frac13 ",
  "⅔": "\\frac23 ",
  "¼": "\\frac14 ",
  "¾": "\\frac34 ",
  "。": ".",
  "、": ",",
  θ: "\\theta ",
  α: "\\alpha ",
  β: "\\beta ",
  λ: "\\lambda ",
  μ: "\\mu ",
  ω: "\\omega ",
  ℝ: "\\mathbb{R}",
  "∖": "\\setminus ",
};
