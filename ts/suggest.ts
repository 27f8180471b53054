// "Did you mean …?" for names that are not known.

/** The known name that is nearest to `name`, if any is near enough to be a slip of the keys. */
export function closest(name: string, known: readonly string[]): string | undefined {
  const limit = Math.max(2, Math.floor(name.length / 3));
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  return ranked[0]?.distance <= limit ? ranked[0].candidate : undefined;
}

/** " Did you mean x?" or nothing, to put after a sentence. */
export function didYouMean(name: string, known: readonly string[], show: (name: string) => string = (text) => text): string {
  const candidate = closest(name, known);
  return candidate === undefined ? "" : ` Did you mean ${show(candidate)}?`;
}

// --- internal ---

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + Number(a[i - 1] !== b[j - 1])));
    row = next;
  }
  return row[b.length];
}
