// Other spellings of an answer, which must be equal to it, and small changes, which must not be.

/** Each rewriting by name, where it applies to the answer. */
export function rewritings(gold: string): Record<string, string> {
  const all: Record<string, string> = {
    itself: gold,
    "dollar signs": `$${gold.replace(/(?<!\\)\$/g, "")}$`,
    "full stop": `${gold}.`,
    spaces: gold.includes("{,}") ? gold : gold.replace(/(?<![\\\d])([=+\-,/])(?!\d{3})/g, " $1 "),
    "no spaces": gold.replace(/(?<![a-zA-Z,])\s+|\s+(?=[^a-zA-Z\s])/g, ""),
    dfrac: gold.replaceAll("\\frac", "\\dfrac"),
    tfrac: gold.replaceAll("\\dfrac", "\\tfrac"),
    "left and right": gold.replace(/^\(([^()]*)\)$/, "\\left($1\\right)").replace(/^\[([^[\]]*)\]$/, "\\left[$1\\right]"),
    "fraction as decimal": gold.replace(/^(-?)\\d?frac\{(\d+)\}\{(\d+)\}$/, (all, sign: string, n: string, d: string) =>
      exactDecimal(n, d) ? `${sign}${Number(n) / Number(d)}` : all,
    ),
    "plain fraction": gold.replace(/^(-?)\\d?frac\{(\d+)\}\{(\d+)\}$/, "$1$2/$3"),
    "decimal as fraction": gold.replace(
      /^(-?)(\d*)\.(\d{1,8})$/,
      (_, sign: string, whole: string, part: string) => `${sign}\\frac{${BigInt(whole + part)}}{1${"0".repeat(part.length)}}`,
    ),
    "integer as decimal": gold.replace(/^-?\d{1,15}$/, "$&.0"),
    thousands: gold.replace(/^(-?)(\d{4,})$/, (_, sign: string, digits: string) => sign + digits.replace(/\B(?=(\d{3})+$)/g, ",")),
    "typeset thousands": gold.replace(/^(-?)(\d{4,})$/, (_, sign: string, digits: string) => sign + digits.replace(/\B(?=(\d{3})+$)/g, "{,}")),
    "with a name": gold.replace(/^-?(?:\d+|\\frac\{\d+\}\{\d+\})$/, "x = $&"),
  };
  return Object.fromEntries(Object.entries(all).filter(([name, value]) => name === "itself" || value !== gold));
}

/** Each change by name, where it applies: another sign, another digit, a swapped pair, another word. */
export function changes(gold: string): Record<string, string> {
  const found: Record<string, string> = {};
  const start = gold.lastIndexOf("=") + 1;
  const right = gold.slice(start).replace(/^[\s$]+/, "");
  const simple =
    /^[-\d\\a-zA-Z.]/.test(right) && !/^\\(?:begin|pm|\{|\[|\()|\\pm|^-?0*\.?0*(?:\$?$|,)|\\(?:text|in|cup|geq|leq)|[<>]/.test(right) && /[\d\\]/.test(right);
  if (simple) found["sign"] = gold.slice(0, start) + (right.startsWith("-") ? right.slice(1) : `-${right}`);
  const digits = [...gold.matchAll(/\d/g)];
  for (const [name, match] of Object.entries({ "first digit": digits[0], "last digit": digits.at(-1) })) {
    if (match) found[name] = `${gold.slice(0, match.index)}${(Number(match[0]) + 1) % 10 || 1 + Number(match[0] === "0")}${gold.slice(match.index + 1)}`;
  }
  const pair = /^\$?\(([^(),]+),([^(),]+)\)\$?$/.exec(gold);
  if (pair && pair[1].trim() !== pair[2].trim()) found["swapped"] = `(${pair[2]},${pair[1]})`;
  if (/^[a-zA-Z]{3,}$/.test(gold)) found["another word"] = gold === "west" ? "east" : "west";
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== gold));
}

// --- internal ---

function exactDecimal(n: string, d: string): boolean {
  return (BigInt(n) * 10n ** 12n) % BigInt(d) === 0n && n.length < 9;
}
