// `primekit download`: a model or a dataset of the hub into the cache, ahead of a run or for a machine without a connection.
import { PrimekitError } from "../errors.ts";
import { resolveDataset, resolveModel } from "../hub/resolve.ts";
import type { Command } from "./command.ts";
import { createDownloadProgress } from "./hub_progress.ts";
import { listenForInterrupt } from "./interrupt.ts";

const text = (name: string, description: string) => ({ name, type: "string" as const, description, section: "Download" });

export const downloadCommand: Command = {
  name: "download",
  description: "Downloads a model or a dataset from the Hugging Face hub into the cache and prints its folder.",
  flags: [
    text("model", "id of a model (ORG/NAME): weights, configuration and tokenizer"),
    text("data", "id of a dataset (ORG/NAME): its Parquet, JSON and CSV files"),
    text("revision", "branch, tag or commit; main unless given"),
    text("files", "patterns of the files wanted instead, with commas between them: data/train-*,**/*.json"),
  ],
  run: async ({ model, data, revision, files }) => {
    if ((model === undefined) === (data === undefined)) throw new PrimekitError("ERR_CONFIG", "Give either --model or --data, the id of what to download.");
    const progress = createDownloadProgress(process.stderr);
    const interrupt = listenForInterrupt(() => progress.onNote("Stopping; what was downloaded is kept, and the next download goes on from there."));
    const options = {
      revision: revision === undefined ? undefined : String(revision),
      files: files === undefined ? undefined : String(files).split(","),
      signal: interrupt.signal,
      ...progress,
    };
    try {
      const dir = await (model === undefined ? resolveDataset(String(data), options) : resolveModel(String(model), options));
      progress.stop();
      process.stdout.write(`${dir}\n`);
      return 0;
    } catch (error) {
      return interrupt.exitCodeFor(error);
    } finally {
      progress.stop();
      interrupt.dispose();
    }
  },
};
