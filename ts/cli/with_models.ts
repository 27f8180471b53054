// Models that are closed when the work with them ends. (`using` says the same, but Node 22, which runs these sources as they are, does not know it.)
import type { Model } from "../model.ts";

/** Loads models one after another and hands them to `work`; all are closed in the end, also when a later one cannot be loaded. */
export async function withModels<T>(loads: readonly (() => Promise<Model>)[], work: (...models: Model[]) => Promise<T>): Promise<T> {
  const models: Model[] = [];
  try {
    for (const load of loads) models.push(await load());
    return await work(...models);
  } finally {
    for (const model of models) model.close();
  }
}
