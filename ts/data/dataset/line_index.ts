// Which lines of a file are rows of the dataset, and where they are: about a byte a line, so that a file of any size can be indexed in memory.

const BLOCK = 16; // lines

/** A row's place: its line (from 1), and the bytes of its block of lines, in which it is line number `inBlock` (from 0). */
export interface Place {
  line: number;
  begin: number;
  end: number;
  inBlock: number;
}

/** Filled line by line, then asked for the k-th row. Lines can be taken out again. */
export class LineIndex {
  #offsets = new Float64Array(64); // [blocks] of a block's first byte
  #masks = new Uint16Array(64); // [blocks] a bit per line
  #before = new Float64Array(64); // [blocks] rows before the block
  #lines = 0;
  #bytes = 0;
  #rows = 0;

  /** Rows. */
  get length(): number {
    return this.#rows;
  }

  /** The next line: where it begins, and whether it is a row. */
  add(offset: number, isRow: boolean): void {
    const block = this.#lines >> 4;
    if (this.#lines % BLOCK === 0) {
      if (block + 1 >= this.#offsets.length) this.#grow();
      this.#offsets[block] = offset;
      this.#before[block] = this.#rows;
    }
    if (isRow) {
      this.#masks[block] |= 1 << (this.#lines % BLOCK);
      this.#rows++;
    }
    this.#lines++;
  }

  /** Ends the filling. `bytes`: the length of the file. */
  close(bytes: number): void {
    this.#bytes = bytes;
    const blocks = this.#blocks();
    this.#offsets = this.#offsets.slice(0, blocks);
    this.#masks = this.#masks.slice(0, blocks);
    this.#before = this.#before.slice(0, blocks);
  }

  /** Takes lines (from 1) out of the rows. */
  remove(lines: Iterable<number>): void {
    for (const line of lines) this.#masks[(line - 1) >> 4] &= ~(1 << ((line - 1) % BLOCK));
    this.#rows = 0;
    for (let block = 0; block < this.#masks.length; block++) {
      this.#before[block] = this.#rows;
      this.#rows += bitCount(this.#masks[block]);
    }
  }

  /** Where row k is; 0 <= k < length. */
  place(k: number): Place {
    let low = 0; // the last block with no more than k rows before it
    for (let high = this.#before.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if (this.#before[middle] <= k) low = middle;
      else high = middle;
    }
    let inBlock = 0;
    for (let left = k - this.#before[low]; ; inBlock++) {
      if ((this.#masks[low] >> inBlock) & 1 && left-- === 0) break;
    }
    const end = low + 1 < this.#offsets.length ? this.#offsets[low + 1] : this.#bytes;
    return { line: low * BLOCK + inBlock + 1, begin: this.#offsets[low], end, inBlock };
  }

  #blocks(): number {
    return Math.ceil(this.#lines / BLOCK);
  }

  #grow(): void {
    const size = this.#offsets.length * 2;
    const grown = <T extends Float64Array | Uint16Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#offsets = grown(this.#offsets, new Float64Array(size));
    this.#masks = grown(this.#masks, new Uint16Array(size));
    this.#before = grown(this.#before, new Float64Array(size));
  }
}

// --- internal ---

function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
