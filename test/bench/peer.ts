// A peer: a Python program that sets itself up once and then runs one measurement per line it is sent, so that ours and
// theirs can take turns in one run. PRIMEKIT_PEER_PYTHON names a Python with torch, transformers and trl.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";

export const peerPython: string | undefined = process.env.PRIMEKIT_PEER_PYTHON;
if (!peerPython) console.log("Peers are skipped: PRIMEKIT_PEER_PYTHON does not name a Python with torch, transformers and trl.");

export class Peer {
  readonly versions: Record<string, string>;
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, versions: Record<string, string>) {
    this.child = child;
    this.lines = lines;
    this.versions = versions;
  }

  /** Starts test/bench/peers/SCRIPT; undefined where there is no peer Python. Throws when the script fails. */
  static async start(script: string, ...args: string[]): Promise<Peer | undefined> {
    if (!peerPython) return undefined;
    // OPENBLAS_CORETYPE and the like would slow the peer down (or up) on some machines: it gets the environment without them.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("OPENBLAS_")));
    const child = spawn(peerPython, [join(import.meta.dirname, "peers", script), ...args], {
      env: { ...env, HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false", PYTHONUNBUFFERED: "1" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const reader: Interface = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const lines = reader[Symbol.asyncIterator]();
    const ready = JSON.parse(await nextReply(lines, script)) as { versions: Record<string, string> };
    return new Peer(child, lines, ready.versions);
  }

  /** One measurement; seconds. */
  async run(): Promise<number> {
    this.child.stdin?.write("run\n");
    const { seconds } = JSON.parse(await nextReply(this.lines, "the peer")) as { seconds: number };
    return seconds;
  }

  stop(): void {
    this.child.stdin?.end();
    this.child.kill();
  }
}

// --- internal ---

/** Replies are marked, so that whatever libraries print does not matter. */
async function nextReply(lines: AsyncIterator<string>, what: string): Promise<string> {
  for (;;) {
    const { value, done } = await lines.next();
    if (done) throw new Error(`The peer program ${what} ended without a reply; its messages are above.`);
    if (value.startsWith("REPLY ")) return value.slice("REPLY ".length);
  }
}
