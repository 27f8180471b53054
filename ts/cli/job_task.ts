// What a job learns: the built-in task, a task of the user's own, or a dataset.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { arithmeticTask } from "../data/arithmetic.ts";
import type { DatasetReport } from "../data/dataset.ts";
import { datasetTask } from "../data/dataset_task.ts";
import type { Task } from "../data/task.ts";
import { PrimekitError } from "../errors.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type JobConfig, type Resolved, taskOptions } from "./job_config.ts";
import { formatOf } from "./job_schemas.ts";
import { makeVerifier } from "./job_verifier.ts";
import { importDefault, isModulePath } from "./user_module.ts";

/** What a task file's default export is called with, where it is a function. */
export interface TaskContext {
  /** The tokenizer of --model. */
  tokenizer: Tokenizer | undefined;
  seed: number;
}

export interface JobTask {
  task: Task;
  /** Of a dataset: the training data's, and that of a held-out file. */
  reports: DatasetReport[];
  close(): Promise<void>;
}

/** Makes the task. Rows need reference answers, unless the verifier is the user's own. */
export async function makeTask(config: JobConfig, resolved: Resolved, onProgress: (rows: number) => void): Promise<JobTask> {
  const { data, task } = config;
  if (data.source) return dataTask(config, resolved, onProgress);
  if (!isModulePath(task.name)) return { task: await builtInTask(config, resolved), reports: [], close: async () => undefined };
  const tokenizer = resolved.model ? await Tokenizer.load(resolved.model) : undefined;
  const own = await loadTask(task.name, { tokenizer, seed: task.seed });
  return { task: own, reports: [], close: async () => own.verifier.close?.() };
}

// --- internal ---

async function builtInTask(config: JobConfig, { model }: Resolved): Promise<Task> {
  const task = arithmeticTask(taskOptions(config.task));
  if (model === undefined || !existsSync(join(model, "tokenizer.json"))) return task;
  const { vocabSize } = await Tokenizer.load(model);
  if (vocabSize === task.tokenizer.vocabSize) return task;
  throw new PrimekitError(
    "ERR_CONFIG",
    `The model ${config.model.source} has a tokenizer of ${vocabSize} tokens, but the built-in task has its own of ${task.tokenizer.vocabSize}: give --data or --task.`,
  );
}

async function dataTask({ data, prime }: JobConfig, resolved: Resolved, onProgress: (rows: number) => void): Promise<JobTask> {
  const tokenizer = await Tokenizer.load(resolved.model as string);
  const verifier = await makeVerifier(data.verifier);
  const { format, mapping, maxPromptTokens, maxBadShare, chatTemplate, heldOutSize } = data;
  try {
    const task = await datasetTask(resolved.data as string, {
      tokenizer,
      verifier,
      seed: prime.seed,
      format: formatOf(format),
      mapping,
      maxPromptTokens,
      maxBadShare,
      chatTemplate,
      onProgress,
      split: data.split || undefined,
      needs: neededBy(data.verifier),
      heldOut: resolved.heldOut,
      heldOutSplit: data.heldOutSplit || undefined,
      heldOutSize,
      promptStyle: data.promptStyle,
    });
    task.train.at(0); // what is wrong with template or style shows here
    const close = async () => {
      task.close();
      await verifier.close?.();
    };
    return { task, reports: [task.report, ...(task.heldOutReport ? [task.heldOutReport] : [])], close };
  } catch (error) {
    await verifier.close?.();
    throw error;
  }
}

/** Verifiers of the user's own may do without a reference answer; "auto" goes by each row's ability. */
function neededBy(verifier: string): ("answer" | "ability")[] {
  return isModulePath(verifier) ? [] : verifier === "auto" ? ["answer", "ability"] : ["answer"];
}

/** The default export is a Task, or a function of a TaskContext that makes one. */
async function loadTask(path: string, context: TaskContext): Promise<Task> {
  const exported = await importDefault(path, "task");
  const task = (typeof exported === "function" ? await exported(context) : exported) as Partial<Task> | undefined;
  const lacks = (["name", "tokenizer", "demonstrations", "train", "heldOut", "verifier"] as const).filter((field) => task?.[field] === undefined);
  if (lacks.length > 0)
    throw new PrimekitError("ERR_CONFIG", `The default export of ${path} must be a Task or make one, but what it gives lacks ${lacks.join(", ")}.`);
  return task as Task;
}
