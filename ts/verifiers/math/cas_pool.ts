// A few engine processes, started when first needed; a killed one is replaced when the next question comes.
import { type CasAnswer, type CasLimits, CasProcess } from "./cas_process.ts";

export interface CasPoolOptions extends CasLimits {
  processes: number;
}

/** Lends processes to one check at a time, in the order asked. */
export class CasPool {
  private readonly idle: CasProcess[] = [];
  private readonly starting: Promise<CasProcess>[] = [];
  private closed = false;
  private readonly queue: (() => void)[] = [];
  private readonly busy = new Set<CasProcess>();
  private lent = 0;
  private readonly options: CasPoolOptions;

  constructor(options: CasPoolOptions) {
    this.options = options;
  }

  /** The engine's answer; `timeoutMs` runs from the moment a process is free and ready. An abort kills the process that works on it. */
  async ask(left: unknown, right: unknown, timeoutMs: number, signal?: AbortSignal): Promise<CasAnswer> {
    await this.turn();
    try {
      if (signal?.aborted) return { failure: "it was aborted" };
      return await this.askReady(await this.ready(), left, right, timeoutMs, signal);
    } catch (error) {
      return { failure: error instanceof Error ? error.message : String(error) };
    } finally {
      this.lent--;
      this.queue.shift()?.();
    }
  }

  /** Process ids of the children that live. */
  get pids(): number[] {
    return [...this.idle, ...this.busy].filter((process) => process.alive).flatMap((process) => process.pid ?? []);
  }

  /** Kills every child; a later question starts new ones. */
  close(): void {
    this.closed = true;
    this.starting.length = 0;
    for (const process of [...this.idle.splice(0), ...this.busy]) process.kill();
  }

  // --- internal ---

  private async askReady(process: CasProcess, left: unknown, right: unknown, timeoutMs: number, signal?: AbortSignal): Promise<CasAnswer> {
    const kill = () => process.kill();
    signal?.addEventListener("abort", kill, { once: true });
    this.busy.add(process);
    try {
      return await process.ask(left, right, timeoutMs);
    } finally {
      signal?.removeEventListener("abort", kill);
      this.busy.delete(process);
      if (process.alive && process.asked < MAX_QUESTIONS) this.idle.push(process);
      else this.replace(process);
    }
  }

  /** Starts the next one at once, so that the next question need not wait for it. */
  private replace(process: CasProcess): void {
    process.kill();
    if (this.closed) return;
    const next = CasProcess.start(this.options);
    this.starting.push(next);
    next.then(
      (started) => this.closed && started.kill(),
      () => {}, // reported to whoever waits for it; else the next question starts another
    );
  }

  private async turn(): Promise<void> {
    if (this.lent >= this.options.processes) await new Promise<void>((resolve) => this.queue.push(resolve));
    this.lent++;
  }

  private async ready(): Promise<CasProcess> {
    for (let process = this.idle.pop(); process; process = this.idle.pop()) if (process.alive) return process;
    this.closed = false;
    const next = this.starting.shift();
    return next ? next.catch(() => CasProcess.start(this.options)) : CasProcess.start(this.options);
  }
}

/** A child is replaced after so many questions, as the engine's caches grow. */
const MAX_QUESTIONS = 2_000;
