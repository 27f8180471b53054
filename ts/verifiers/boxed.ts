// The last \boxed{…} of a text, with nested braces matched.

const OPEN = "\\boxed{";

/** Contents of the last complete \boxed{…}; undefined when there is none. A backslash escapes a brace (\{ and \} do not count). */
export function lastBoxed(text: string): string | undefined {
  for (let at = text.lastIndexOf(OPEN); at >= 0; at = at === 0 ? -1 : text.lastIndexOf(OPEN, at - 1)) {
    const start = at + OPEN.length;
    const end = closingBrace(text, start);
    if (end !== undefined) return text.slice(start, end);
  }
  return undefined;
}

// --- internal ---

function closingBrace(text: string, start: number): number | undefined {
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === "{") depth++;
    else if (text[i] === "}" && --depth === 0) return i;
  }
  return undefined;
}
