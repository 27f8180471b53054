// Which rows are held out: chosen by a hash of what is asked, so that the choice depends on nothing else and equal questions stay on one side.
import { createHash } from "node:crypto";
import type { MappedRow } from "../mappings/index.ts";

/** 48 bits of a hash of what a row asks. */
export function questionHash(row: Pick<MappedRow, "prompt" | "messages">): number {
  const text = row.prompt ?? JSON.stringify(row.messages?.map(({ role, content }) => [role, content]));
  return createHash("sha256").update(text).digest().readUIntBE(0, 6);
}

/** Keeps the rows of the `size` smallest hashes it is offered, all rows of a hash together; memory is that of the rows kept. */
export class SmallestHashes<T> {
  readonly #size: number;
  readonly #rows = new Map<number, T[]>();
  readonly #hashes: number[] = []; // rising

  constructor(size: number) {
    this.#size = size;
  }

  offer(hash: number, row: T): void {
    const same = this.#rows.get(hash);
    if (same) {
      same.push(row);
      return;
    }
    const full = this.#hashes.length === this.#size;
    if (full && (this.#size === 0 || hash > this.#hashes[this.#size - 1])) return;
    if (full) this.#rows.delete(this.#hashes.pop() as number);
    this.#hashes.splice(this.#rank(hash), 0, hash);
    this.#rows.set(hash, [row]);
  }

  /** The rows of each hash, by rising hash; the first of them came first. */
  groups(): T[][] {
    return this.#hashes.map((hash) => this.#rows.get(hash) as T[]);
  }

  #rank(hash: number): number {
    let [low, high] = [0, this.#hashes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#hashes[middle] < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
