// StopFilter: text that comes in pieces, up to a stop string and without it.

/** Pieces go in, what surely comes before any stop string comes out; the end of a piece that may begin one is held back. */
export class StopFilter {
  readonly #stops: readonly string[];
  #held = "";
  #stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** What can be shown now. */
  push(text: string): string {
    if (this.#stopped) return "";
    const all = this.#held + text;
    const at = this.#firstStop(all);
    this.#stopped = at !== undefined;
    const shown = all.slice(0, at ?? all.length - this.#beginning(all));
    this.#held = this.#stopped ? "" : all.slice(shown.length);
    return shown;
  }

  /** What was held back and turned out to be no stop string. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  // --- internal ---

  /** Where the stop string begins that is complete first; of several that end together, the longest. */
  #firstStop(text: string): number | undefined {
    const found = this.#stops.flatMap((stop) => (text.includes(stop) ? [{ start: text.indexOf(stop), end: text.indexOf(stop) + stop.length }] : []));
    return found.sort((a, b) => a.end - b.end || a.start - b.start)[0]?.start;
  }

  /** Length of the longest end of `text` with which a stop string may begin. */
  #beginning(text: string): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const end = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
