// Which options would make a run fit into memory: tried, not guessed. The fewest that do, and of these the ones that cost the least speed.
import type { MemoryPlan, Plannable } from "./memory_plan.ts";

/** One way to need less memory, rung by rung: `next` is the configuration a rung further, until there is none. */
export interface Change<Config> {
  next: (config: Config) => Config | undefined;
  /** The command line's options for what `next` has set. */
  flags: (config: Config) => string;
}

/** A change of one rung: something is switched on. */
export function switched<Config>(flags: string, next: (config: Config) => Config | undefined): Change<Config> {
  return { next, flags: () => flags };
}

/** A number that is halved until it would fall below `least`. */
export function halving<Config>(
  least: number,
  value: (config: Config) => number,
  set: (config: Config, value: number) => Config,
  flags: (config: Config) => string,
): Change<Config> {
  const next = (config: Config) => {
    const half = Math.floor(value(config) / 2);
    return half < least ? undefined : set(config, half);
  };
  return { next, flags };
}

/** A sentence: the changes that are enough alone, or the smallest set that is, each taken no further than needed; or that none are. */
export function adviceFor<Config>(wanted: Plannable<Config>, fits: (plan: MemoryPlan) => boolean): string {
  const useful = wanted.changes.filter((change) => rungsOf(wanted.config, change) > 0);
  const alone = useful.flatMap((change) => enough(wanted, [change], fits) ?? []);
  if (alone.length > 0) return `It would fit with ${alone.join(", or with ")}.`;
  for (let size = 2; size <= useful.length; size++) {
    for (const set of subsets(useful, size)) {
      const flags = enough(wanted, set, fits);
      if (flags !== undefined) return `It would fit with ${flags}.`;
    }
  }
  const helpful = useful.filter((change) => wanted.plan(strongest(wanted.config, [change])).total < wanted.plan(wanted.config).total);
  if (helpful.length === 0) return "It takes a smaller model or more memory.";
  const flags = flagsOf(helpful, strongest(wanted.config, helpful));
  return `Not even ${flags} would make it fit: it takes a smaller model or more memory.`;
}

// --- internal ---

const MOST_RUNGS = 20;

/** The flags with which the changes together make it fit, if they do; the dearest, which come last, are taken back first. */
function enough<Config>({ config, plan }: Plannable<Config>, set: readonly Change<Config>[], fits: (plan: MemoryPlan) => boolean): string | undefined {
  const isEnough = (rungs: readonly number[]) => fits(plan(applied(config, set, rungs)));
  const rungs = set.map((change) => rungsOf(config, change));
  if (!isEnough(rungs)) return undefined;
  for (let i = set.length - 1; i >= 0; i--) {
    const fewest = Array.from({ length: rungs[i] }, (_, k) => k + 1).find((k) => isEnough(rungs.with(i, k)));
    rungs[i] = fewest ?? rungs[i];
  }
  return flagsOf(set, applied(config, set, rungs));
}

function flagsOf<Config>(set: readonly Change<Config>[], config: Config): string {
  return set.map((change) => change.flags(config)).join(" ");
}

function strongest<Config>(config: Config, set: readonly Change<Config>[]): Config {
  return applied(
    config,
    set,
    set.map((change) => rungsOf(config, change)),
  );
}

function applied<Config>(config: Config, set: readonly Change<Config>[], rungs: readonly number[]): Config {
  let changed = config;
  set.forEach((change, i) => {
    for (let k = 0; k < rungs[i]; k++) changed = change.next(changed) ?? changed;
  });
  return changed;
}

function rungsOf<Config>(config: Config, change: Change<Config>): number {
  let rungs = 0;
  for (let next = change.next(config); next !== undefined && rungs < MOST_RUNGS; next = change.next(next)) rungs++;
  return rungs;
}

/** Those of `size` elements, the ones with earlier elements first. */
function subsets<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, i) => subsets(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]));
}
