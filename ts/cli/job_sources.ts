// Model and data named by a folder or by an id on the hub, as folders and files on this disk.
import { existsSync } from "node:fs";
import { resolveDataset, resolveModel } from "../hub/resolve.ts";
import { createDownloadProgress } from "./hub_progress.ts";
import type { JobConfig, Resolved } from "./job_config.ts";

/** Downloads what is not here yet. A run that goes on uses the very copies it began with while they are there. Throws what the hub's functions throw. */
export async function resolveSources({ model, data, resolved }: JobConfig): Promise<Omit<Resolved, "rows">> {
  const progress = createDownloadProgress(process.stderr);
  const find = async (source: string, before: string | undefined, resolve: typeof resolveModel) =>
    source === "" ? undefined : before !== undefined && existsSync(before) ? before : resolve(source, progress);
  try {
    return {
      model: await find(model.source, resolved?.model, resolveModel),
      data: await find(data.source, resolved?.data, resolveDataset),
      heldOut: await find(data.heldOut, resolved?.heldOut, resolveDataset),
    };
  } finally {
    progress.stop();
  }
}
