// \boxed{…} and \fbox{…} in a text, in one pass whatever the text holds.

export interface Box {
  start: number; // of the command
  end: number; // past the closing brace
  content: string;
}

/** Every complete box that lies in no other, in order. Also finds "\beginboxed{" and boxes that lost their backslash to an escape. */
export function findBoxes(text: string): Box[] {
  const openings = new Map<number, number>(); // position of the brace -> start of the command
  for (const match of text.matchAll(/\\?[bf]?(?:oxed|(?<=f)box)[ ]?\{/g)) openings.set(match.index + match[0].length - 1, match.index);
  if (openings.size === 0) return [];
  const open: number[] = [];
  const boxes: Box[] = [];
  for (const { 0: sign, index } of text.matchAll(/\\[\s\S]|[{}]/g)) {
    if (sign === "{" || openings.has(index + sign.length - 1)) open.push(index + sign.length - 1);
    else if (sign === "}") {
      const brace = open.pop();
      const start = brace === undefined ? undefined : openings.get(brace);
      if (brace === undefined || start === undefined) continue;
      while (boxes.length > 0 && boxes[boxes.length - 1].start > start) boxes.pop(); // inside this one
      boxes.push({ start, end: index + 1, content: text.slice(brace + 1, index) });
    }
  }
  return boxes;
}

/**
 * The answer in the last box: its content, with a percent sign that follows it. Boxes joined by nothing but commas, "and" or "or" are
 * several answers and come as one list.
 */
export function lastBoxes(text: string): { content: string; end: number } | undefined {
  const boxes = findBoxes(text);
  const last = boxes.pop();
  if (!last) return undefined;
  const contents = [last.content + percentAfter(text, last.end)];
  let start = last.start;
  for (let box = boxes.pop(); box && joins(text, box.end, start); box = boxes.pop()) {
    if (!contents.includes(box.content)) contents.unshift(box.content);
    start = box.start;
  }
  return { content: contents.map((content) => content.trim()).join(", "), end: last.end };
}

// --- internal ---

const percentAfter = (text: string, at: number): string => (/^\$?\s?(?:\\?%|percent\b|pct\b)/.test(text.slice(at, at + 12)) ? "\\%" : "");

function joins(text: string, from: number, to: number): boolean {
  if (to - from > 60 || to < from) return false;
  const between = text.slice(from, to);
  const rest = between.replace(/\\(?:text|mbox)\{[^{}]*\}|\\q?quad(?![a-z])|\\[,;:! ()[\]]|\b(?:and|or)\b|[$\s,;]/g, (part) =>
    /\\(?:text|mbox)/.test(part) && !/\b(?:and|or)\s*\}/.test(part) ? "x" : "",
  );
  return rest === "" && /[,;]|\b(?:and|or)\b/.test(between);
}
