// JSON as it stands in model folders: an object, without the keys given twice that JSON.parse would silently resolve.

/** Parses an object. Throws a SyntaxError that says what is wrong: not JSON, no object, or a key given twice. */
export function parseJsonObject(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new SyntaxError("it is JSON, but not an object");
  const twice = duplicateKey(text);
  if (twice !== undefined) throw new SyntaxError(`it gives the key ${JSON.stringify(twice)} twice`);
  return value as Record<string, unknown>;
}

// --- internal ---

/** The first key that one object of valid JSON has twice. */
function duplicateKey(text: string): string | undefined {
  const token = /"(?:[^"\\]|\\.)*"|[{}[\]]/g;
  const open: (Set<string> | undefined)[] = []; // keys of each object around, undefined for an array
  for (let match = token.exec(text); match; match = token.exec(text)) {
    const [found] = match;
    if (found === "{") open.push(new Set());
    else if (found === "[") open.push(undefined);
    else if (found === "}" || found === "]") open.pop();
    else if (isKey(text, token.lastIndex)) {
      const keys = open.at(-1);
      const key = JSON.parse(found) as string;
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

/** Whether a colon follows: in valid JSON only a key has one. */
function isKey(text: string, at: number): boolean {
  let next = at;
  while (/\s/.test(text.charAt(next))) next++;
  return text.charAt(next) === ":";
}
