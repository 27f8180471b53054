// What flows between a program and JavaScript, and the error that ends a program.

/** Thrown through the interpreter to end a program. `clean`: restoring the memory image makes the interpreter as new. */
export class Stop extends Error {
  readonly clean: boolean;
  constructor(message: string, clean: boolean) {
    super(message);
    this.clean = clean;
  }
}

/** Bytes written so far, up to a limit; one byte more ends the program with `complaint`. */
export class Sink {
  readonly #limit: number;
  readonly #complaint: string;
  #bytes = new Uint8Array(1024);
  #length = 0;

  constructor(limit: number, complaint: string) {
    this.#limit = limit;
    this.#complaint = complaint;
  }

  write(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length > this.#limit) throw new Stop(this.#complaint, true);
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(part, this.#length);
    this.#length = length;
  }

  /** What was written, once. */
  take(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#bytes = new Uint8Array(1024);
    this.#length = 0;
    return bytes;
  }
}

/** What the gate reads and writes for the program now running. */
export class Streams {
  stdin: Uint8Array = new Uint8Array();
  stdout: Sink | undefined; // none: output goes nowhere
  inbox: Uint8Array = new Uint8Array(); // CHANNEL, from JavaScript
  outbox = new Sink(0, ""); // and back
  call: ((request: Uint8Array) => Uint8Array) | undefined; // CALLS: where a request goes
  request = new Sink(REQUEST_LIMIT, "The tests handed over too much.");
  reply: Uint8Array | undefined;
  random = 0x9e3779b9; // the state behind "entropy": every program draws the same
}

// --- internal ---

const REQUEST_LIMIT = 64 << 20;
