// One child process with the symbolic engine: started, asked one question at a time, killed when it takes too long or too much memory.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

export type CasAnswer = { equal: boolean | undefined } | { timeout: true } | { failure: string };

export interface CasLimits {
  timeoutMs: number;
  memoryMb: number;
}

/** A child that is ready. While it waits for a question it keeps no process alive. */
export class CasProcess {
  asked = 0;
  private waiting: ((message: Message) => void) | undefined;
  private rest = "";
  private readonly child: ChildProcess;
  private readonly limits: CasLimits;

  private constructor(child: ChildProcess, limits: CasLimits) {
    this.child = child;
    this.limits = limits;
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => this.receive(chunk));
    child.on("error", (error) => this.deliver({ failure: `the symbolic engine could not be started: ${error.message}` }));
    child.on("exit", (code, signal) => this.deliver({ failure: `the symbolic engine ended (${signal ?? `exit code ${code}`})` }));
    child.stdin?.on("error", () => {}); // a write to a child that has just died: its exit is reported above
  }

  /** Resolves when the engine is loaded; rejects when it does not start within START_MS. */
  static async start(limits: CasLimits): Promise<CasProcess> {
    const [command, args] = childCommand(limits);
    const child = spawn(command, args, { cwd: dirname(CHILD), stdio: ["pipe", "pipe", "ignore"], env: childEnvironment() });
    const started = new CasProcess(child, limits);
    const message = await started.next(START_MS);
    if ("ready" in message) {
      started.hold(false);
      return started;
    }
    started.kill();
    throw new Error("failure" in message ? message.failure : "the symbolic engine did not start");
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null && !this.child.killed;
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** At most `timeoutMs` from now. After a timeout or failure the child is dead. */
  async ask(left: unknown, right: unknown, timeoutMs: number): Promise<CasAnswer> {
    this.hold(true);
    const id = ++this.asked;
    this.child.stdin?.write(`${JSON.stringify({ id, left, right })}\n`);
    const message = await this.next(timeoutMs);
    this.hold(false);
    if ("id" in message && message.id === id && message.error === undefined) return { equal: message.equal };
    if ("id" in message) return { failure: `the symbolic engine failed: ${message.error}` };
    if (!("gaveUp" in message)) this.kill();
    return "failure" in message ? message : { timeout: true };
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }

  // --- internal ---

  private async next(timeoutMs: number): Promise<Message> {
    let clock: ReturnType<typeof setTimeout> | undefined;
    let watch: ReturnType<typeof setInterval> | undefined;
    const message = await new Promise<Message>((resolve) => {
      this.waiting = resolve;
      clock = setTimeout(() => resolve({ late: true }), timeoutMs);
      watch = setInterval(
        () => this.memoryMb() > this.limits.memoryMb && resolve({ failure: `the symbolic engine used more than ${this.limits.memoryMb} MB` }),
        50,
      );
    });
    this.waiting = undefined;
    clearTimeout(clock);
    clearInterval(watch);
    return message;
  }

  private receive(chunk: string): void {
    const lines = (this.rest + chunk).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("{")) this.deliver(JSON.parse(line) as Message);
  }

  private deliver(message: Message): void {
    this.waiting?.(message);
  }

  /** Resident memory, where the system tells it (Linux); elsewhere the runtime's own limit on its heap stands alone. */
  private memoryMb(): number {
    try {
      return Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, "latin1"))?.[1] ?? 0) / 1024;
    } catch {
      return 0; // no /proc here, or the child has just ended, which "exit" reports
    }
  }

  private hold(busy: boolean): void {
    for (const handle of [this.child, this.child.stdin, this.child.stdout] as Holdable[]) busy ? handle?.ref?.() : handle?.unref?.();
  }
}

type Message = { ready: true } | { id: number; equal?: boolean; error?: string } | { late: true; gaveUp?: true } | { failure: string };
type Holdable = { ref?: () => void; unref?: () => void } | null;

const START_MS = 60_000;
const CHILD = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./cas_child.ts" : "./cas_child.js", import.meta.url));

/** The runtime this process runs in, told to run the child with a bounded heap and, where it has permissions, to grant reading alone. */
function childCommand({ timeoutMs, memoryMb }: CasLimits): [string, string[]] {
  const heap = `--max-old-space-size=${memoryMb}`;
  const end = [CHILD, String(timeoutMs)];
  if (process.versions.bun) return [process.execPath, ["run", "--smol", ...end]];
  if (process.versions.deno) return [process.execPath, ["run", "--quiet", "--no-prompt", "--allow-read", "--allow-env", `--v8-flags=${heap}`, ...end]];
  return [process.execPath, [heap, "--no-warnings", ...(CHILD.endsWith(".ts") ? ["--experimental-strip-types"] : []), ...end]];
}

/** Nothing of the parent's environment but what a runtime needs to start. */
function childEnvironment(): Record<string, string> {
  const names = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DENO_DIR", "SystemRoot"];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name] as string]])));
}
