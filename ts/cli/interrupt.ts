// Ctrl-C, SIGTERM and a closed terminal: the first asks the work to stop at its next safe point, the second ends the process at once.
import { isAbort } from "../train/stop.ts";

const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const; // 128 + the signal's number, as shells have it
type SignalName = keyof typeof EXIT_CODES;

export interface Interrupt {
  signal: AbortSignal;
  /** The exit code to end with when a signal came. */
  exitCode(): number | undefined;
  /** The same for an error that says no more than that a signal came; any other is thrown on. */
  exitCodeFor(error: unknown): number;
  dispose(): void;
}

export function listenForInterrupt(say: (line: string) => void): Interrupt {
  const controller = new AbortController();
  let received: SignalName | undefined;
  const onSignal = (name: SignalName) => {
    if (received) process.exit(EXIT_CODES[name]);
    received = name;
    say(name === "SIGINT" ? "Stopping after a checkpoint; press Ctrl-C again to quit at once." : "Stopping after a checkpoint.");
    controller.abort();
  };
  const names = Object.keys(EXIT_CODES) as SignalName[];
  for (const name of names) process.on(name, onSignal);
  const watch = watchLauncher(() => received || onSignal("SIGTERM"));
  // The terminal may be gone while the checkpoint is still being written; words nobody can read are no reason to fail.
  const ignore = () => undefined;
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignore);
  return {
    signal: controller.signal,
    exitCode: () => received && EXIT_CODES[received],
    exitCodeFor(error) {
      if (!received || !isAbort(error, controller.signal)) throw error;
      return EXIT_CODES[received];
    },
    dispose: () => {
      clearInterval(watch);
      for (const name of names) process.off(name, onSignal);
      for (const stream of [process.stdout, process.stderr]) stream.off("error", ignore);
    },
  };
}

// --- internal ---

/** npm and npx pass SIGTERM on to a shell between them and this process, which dies without passing it on: then the parent changes. */
function watchLauncher(onGone: () => void): ReturnType<typeof setInterval> | undefined {
  if (!process.env.npm_command) return undefined;
  const parent = process.ppid;
  const timer = setInterval(() => process.ppid !== parent && onGone(), 250);
  timer.unref();
  return timer;
}
