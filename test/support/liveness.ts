// How late timers fire beside some work, and how soon an abort ends it.

/** Runs `work` beside a chain of 5 ms timers; the largest lateness of one, in milliseconds, and how many there were. */
export async function longestWait(work: () => Promise<unknown>): Promise<{ latest: number; ticks: number }> {
  let running = true;
  let latest = 0;
  let ticks = 0;
  const chain = (async () => {
    while (running) {
      const start = performance.now();
      await new Promise((done) => setTimeout(done, 5));
      latest = Math.max(latest, performance.now() - start - 5);
      ticks++;
    }
  })();
  await work();
  running = false;
  await chain;
  return { latest, ticks };
}

/** Milliseconds from abort(), `after` milliseconds into the work, to its rejection; throws when the work ends otherwise. */
export async function abortTime(work: (signal: AbortSignal) => Promise<unknown>, after: number): Promise<number> {
  const controller = new AbortController();
  const outcome = work(controller.signal).then(
    () => "finished",
    (error) => error.name,
  );
  await new Promise((done) => setTimeout(done, after));
  const start = performance.now();
  controller.abort();
  const name = await outcome;
  if (name !== "AbortError") throw new Error(`After an abort ${after} ms into it, the work should reject with AbortError, but it ended with ${name}.`);
  return performance.now() - start;
}
