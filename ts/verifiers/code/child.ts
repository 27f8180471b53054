// One child process of the sandbox: requests go in, replies come out, and a watch kills it at its limits.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { CPU_SECONDS, type SandboxRuntime, sandboxCommand } from "./runtime.ts";
import type { Reply, Request } from "./sandbox/protocol.ts";

/** Why a child is gone in the middle of a request. */
export class ChildGone extends Error {
  readonly why: "timeout" | "memory" | "crash" | "closed";
  constructor(why: ChildGone["why"], message: string) {
    super(message);
    this.why = why;
  }
}

export class Child {
  readonly #process: ChildProcess;
  readonly #memoryLimit: number;
  readonly #exited: Promise<void>;
  #received: Buffer[] = [];
  #size = 0; // bytes in it
  #waiting: { resolve: (frame: Buffer) => void; reject: (error: ChildGone) => void } | undefined;
  #gone: ChildGone | undefined;
  worn = false; // to be replaced before the next sample
  served = 0; // samples

  private constructor(runtime: SandboxRuntime) {
    const [program, args, env] = sandboxCommand(runtime, "serve");
    this.#memoryLimit = 2 * runtime.memoryLimit + BASE_MEMORY;
    this.#process = spawn(program, args, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.#exited = new Promise((resolve) => {
      this.#process.once("exit", () => resolve());
      this.#process.once("error", () => resolve());
    });
    let complaint = "";
    this.#process.stderr?.on("data", (part: Buffer) => {
      complaint = (complaint + part).slice(0, 500);
    });
    this.#process.stdout?.on("data", (part: Buffer) => this.#receive(part));
    this.#process.stdin?.on("error", () => {}); // a child that ended while it was written to: "exit" tells
    this.#process.on("error", (error) => this.#end(new ChildGone("crash", `The sandbox could not be started: ${error.message}`)));
    this.#process.on("exit", (code, signal) => {
      this.#end(new ChildGone("crash", `The sandbox's process ended (${signal ?? `code ${code}`}). ${complaint}`.trim()));
    });
    this.#setRef(false);
  }

  static async start(runtime: SandboxRuntime): Promise<Child> {
    const child = new Child(runtime);
    await child.#next();
    return child;
  }

  get alive(): boolean {
    return this.#gone === undefined;
  }

  /** Sends a request and waits for its reply. Rejects with ChildGone. */
  async ask(request: Request): Promise<Reply> {
    if (this.#gone) throw this.#gone;
    const body = Buffer.from(JSON.stringify(request));
    const header = Buffer.alloc(4);
    header.writeUInt32LE(body.length, 0);
    this.#process.stdin?.write(Buffer.concat([header, body]));
    const reply = JSON.parse((await this.#next()).toString()) as Reply;
    this.worn ||= reply.worn;
    return reply;
  }

  /** Runs `work` and kills the child when it takes more than `seconds` of processor time (of wall clock where that cannot be read), or too much memory. */
  async watched<T>(seconds: number, work: () => Promise<T>): Promise<T> {
    const before = usage(this.#process.pid);
    const start = performance.now();
    const timer = setInterval(() => {
      const elapsed = (performance.now() - start) / 1000;
      const now = usage(this.#process.pid);
      const spent = before && now ? Math.max(now.seconds - before.seconds, (elapsed - 60) / PATIENCE) : elapsed;
      if (spent > seconds) this.kill(new ChildGone("timeout", `The program ran for more than ${seconds} s.`));
      else if (now && now.bytes > this.#memoryLimit) this.kill(new ChildGone("memory", "The program used more memory than it may."));
    }, POLL_MS);
    try {
      return await work();
    } finally {
      clearInterval(timer);
      if ((usage(this.#process.pid)?.seconds ?? 0) > CPU_SECONDS / 2) this.worn = true;
    }
  }

  kill(why = new ChildGone("closed", "The verifier was closed.")): void {
    this.#end(why);
    this.#process.kill("SIGKILL");
  }

  /** Kills the child and waits until it is gone. */
  async close(): Promise<void> {
    this.#process.ref();
    this.kill();
    await this.#exited;
  }

  // --- internal ---

  #end(why: ChildGone): void {
    this.#gone ??= why;
    this.#waiting?.reject(this.#gone);
    this.#waiting = undefined;
  }

  #next(): Promise<Buffer> {
    this.#setRef(true);
    const frame = new Promise<Buffer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (this.#gone) this.#end(this.#gone);
    });
    return frame.finally(() => this.#setRef(false));
  }

  #receive(part: Buffer): void {
    this.#received.push(part);
    this.#size += part.length;
    if (this.#size < 4) return;
    if (this.#received[0].length < 4) this.#received = [Buffer.concat(this.#received)];
    const wanted = 4 + this.#received[0].readUInt32LE(0);
    if (wanted > MAX_FRAME || this.#size > wanted) this.kill(new ChildGone("crash", "The sandbox's process sent what it should not."));
    if (this.#size !== wanted) return;
    const frame = Buffer.concat(this.#received).subarray(4);
    this.#received = [];
    this.#size = 0;
    this.#waiting?.resolve(frame);
    this.#waiting = undefined;
  }

  /** Only a request under way keeps the program from ending. */
  #setRef(on: boolean): void {
    const parts = [this.#process, this.#process.stdin, this.#process.stdout, this.#process.stderr] as unknown as { ref?(): void; unref?(): void }[];
    for (const part of parts) on ? part?.ref?.() : part?.unref?.();
  }
}

const POLL_MS = 20;
const PATIENCE = 20; // a program on a busy machine may take this many times longer by the clock, after a first minute
const BASE_MEMORY = 768 << 20; // Deno, Pyodide and its compiled code
const MAX_FRAME = 96 << 20;
const TICKS = 100; // per second in /proc, on every Linux

/** Processor seconds and resident bytes of a process; undefined where there is no /proc. */
function usage(pid: number | undefined): { seconds: number; bytes: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { seconds: (Number(fields[11]) + Number(fields[12])) / TICKS, bytes: Number(fields[21]) * 4096 };
  } catch {
    return undefined;
  }
}
