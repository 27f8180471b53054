// Ctrl-C and SIGTERM: the first asks the work to stop at its next safe point, the second ends the process at once.

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const; // 128 + the signal's number, as shells have it
type SignalName = keyof typeof EXIT_CODES;

export interface Interrupt {
  signal: AbortSignal;
  /** The exit code to end with when a signal came. */
  exitCode(): number | undefined;
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
  return {
    signal: controller.signal,
    exitCode: () => received && EXIT_CODES[received],
    dispose: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
}
