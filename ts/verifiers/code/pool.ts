// A fixed number of warm children; each serves one sample at a time and is replaced when it is worn, gone, or has served enough.
import { type Child, ChildGone } from "./child.ts";

export class Pool {
  readonly size: number;
  readonly #start: () => Promise<Child>;
  readonly #samplesPerChild: number;
  readonly #idle: Slot[];
  readonly #waiting: ((slot: Slot) => void)[] = [];
  readonly #children = new Set<Promise<Child>>();
  #closed = false;

  constructor(size: number, samplesPerChild: number, start: () => Promise<Child>) {
    this.size = size;
    this.#start = start;
    this.#samplesPerChild = samplesPerChild;
    this.#idle = Array.from({ length: size }, () => ({}));
  }

  /** Starts every idle child that is not there yet, without waiting. */
  warm(): void {
    for (const slot of this.#idle) slot.child ??= this.#launch();
  }

  /** Runs `work` with a child of its own. Rejects with what `work` or a failed start rejects with. */
  async use<T>(work: (child: Child) => Promise<T>): Promise<T> {
    const slot = this.#idle.shift() ?? (await new Promise<Slot>((resolve) => this.#waiting.push(resolve)));
    try {
      if (this.#closed) throw new ChildGone("closed", "The verifier was closed.");
      slot.child ??= this.#launch();
      const child = await slot.child;
      try {
        return await work(child);
      } finally {
        child.served++;
        if (!child.alive || child.worn || child.served >= this.#samplesPerChild) this.#replace(slot, child);
      }
    } catch (error) {
      if (slot.child && !this.#children.has(slot.child)) slot.child = undefined; // it did not start: the next sample tries again
      throw error;
    } finally {
      const waiter = this.#waiting.shift();
      if (waiter) waiter(slot);
      else this.#idle.push(slot);
    }
  }

  /** Kills every child and waits until they are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    const children = Array.from(this.#children);
    this.#children.clear();
    for (const slot of this.#idle) slot.child = undefined;
    await Promise.allSettled(children.map(async (child) => (await child).close()));
  }

  // --- internal ---

  #replace(slot: Slot, child: Child): void {
    child.kill();
    if (slot.child) this.#children.delete(slot.child);
    slot.child = this.#closed ? undefined : this.#launch(); // it starts while others work
  }

  #launch(): Promise<Child> {
    const child = this.#start();
    this.#children.add(child);
    child.catch(() => this.#children.delete(child)); // whoever waits for it is told as well
    return child;
  }
}

interface Slot {
  child?: Promise<Child>;
}
