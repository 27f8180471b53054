// Answers to one prompt, as text that appears while it is written, and to a file of prompts, as JSON Lines.
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { chooseMapping, type MappedRow, type MapRow } from "../data/mappings/index.ts";
import { readRecords } from "../data/records/read_records.ts";
import { PrimekitError } from "../errors.ts";
import { generateText, promptIds, type TextAnswer } from "../rollout/text.ts";
import type { ChatMessage } from "../tokenizer/chat.ts";
import { styleMessages } from "../tokenizer/prompts.ts";
import type { Speaker } from "./generate.ts";
import { listenForInterrupt } from "./interrupt.ts";

const CHUNK = 256; // prompts answered together; memory does not grow with the file

/** --prompt: text as it is written, or JSON Lines where log-probs or a file are asked for. */
export async function answerOne(speaker: Speaker): Promise<number> {
  const { config, sampling, model, tokenizer } = speaker;
  const row = { prompt: config.prompt };
  if (config.logprobs || config.out !== "") return writeLines(speaker, [[{ name: "1", row }]]);
  const interrupt = listenForInterrupt(() => undefined);
  try {
    for (let sample = 0; sample < config.samples; sample++) {
      if (config.samples > 1) process.stdout.write(`${sample > 0 ? "\n" : ""}--- ${sample + 1} of ${config.samples}\n`);
      const options = { ...sampling, samples: 1, firstSequence: sample, signal: interrupt.signal, onText: (piece: string) => void process.stdout.write(piece) };
      await generateText(model, tokenizer, [idsOf(speaker, row)], options);
      process.stdout.write("\n");
    }
    return 0;
  } catch (error) {
    return stoppedCode(error, interrupt);
  } finally {
    interrupt.dispose();
  }
}

/** --prompts: every prompt of a file, in its order. */
export async function answerFile(speaker: Speaker): Promise<number> {
  return writeLines(speaker, readPrompts(speaker));
}

// --- internal ---

interface NamedPrompt {
  name: string; // the row's id, or its line
  row: MappedRow;
}

async function writeLines(speaker: Speaker, chunks: AsyncIterable<NamedPrompt[]> | Iterable<NamedPrompt[]>): Promise<number> {
  const { config, sampling, model, tokenizer } = speaker;
  const out = config.out === "" ? undefined : await openNew(config.out);
  const interrupt = listenForInterrupt(() => process.stderr.write("Stopping; what was answered is written.\n"));
  const began = performance.now();
  let [prompts, tokens] = [0, 0];
  try {
    for await (const chunk of chunks) {
      const ids = chunk.map(({ row }) => idsOf(speaker, row));
      // numbered by prompt, so that an answer does not depend on how many are computed together
      const answers = await generateText(model, tokenizer, ids, { ...sampling, firstSequence: prompts * config.samples, signal: interrupt.signal });
      const lines = answers.map((answer) => `${JSON.stringify(lineOf(chunk[answer.prompt], answer, config.logprobs))}\n`).join("");
      if (out) await out.writeFile(lines);
      else process.stdout.write(lines);
      prompts += chunk.length;
      tokens += answers.reduce((sum, answer) => sum + answer.tokens.length, 0);
      const seconds = (performance.now() - began) / 1000;
      process.stderr.write(`${prompts} prompts answered, ${tokens} tokens, ${(tokens / seconds).toFixed(0)} tokens/s\n`);
    }
    return 0;
  } catch (error) {
    return stoppedCode(error, interrupt);
  } finally {
    interrupt.dispose();
    await out?.close();
  }
}

function lineOf({ name, row }: NamedPrompt, { text, sample, finishReason, tokens, logprobs }: TextAnswer, detailed: boolean): object {
  const detail = detailed ? { tokens: Array.from(tokens), logprobs: Array.from(logprobs) } : {};
  return {
    id: row.id ?? name,
    ...(row.messages ? { messages: row.messages } : { prompt: row.prompt }),
    sample,
    response: text,
    finishReason,
    length: tokens.length,
    ...detail,
  };
}

function idsOf({ tokenizer, config }: Speaker, row: MappedRow): Int32Array {
  const asked: ChatMessage[] = row.messages ?? [{ role: "user", content: row.prompt ?? "" }];
  const system = config.system !== "" && !asked.some(({ role }) => role === "system") ? [{ role: "system", content: config.system }] : [];
  const styled = styleMessages([...system, ...asked], config.promptStyle, row.ability);
  return promptIds(tokenizer, config.plain ? styled.map(({ content }) => content).join("\n\n") : styled);
}

async function* readPrompts({ config }: Speaker): AsyncGenerator<NamedPrompt[]> {
  let chunk: NamedPrompt[] = [];
  for await (const prompt of config.prompts.endsWith(".txt") ? readTextLines(config.prompts) : readRows(config.prompts, config.mapping)) {
    chunk.push(prompt);
    if (chunk.length < CHUNK) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

async function* readTextLines(file: string): AsyncGenerator<NamedPrompt> {
  const input = createReadStream(file);
  let line = 0;
  try {
    for await (const prompt of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      line++;
      if (prompt.trim() !== "") yield { name: String(line), row: { prompt } };
    }
  } catch (cause) {
    throw new PrimekitError("ERR_IO", `Could not read ${file}: ${(cause as Error).message}.`, { cause });
  }
}

/** Rows of a data file; those that cannot be read or hold no prompt are named and passed over. */
async function* readRows(file: string, mapping: string): AsyncGenerator<NamedPrompt> {
  const pass = (line: number, reason: string) => void process.stderr.write(`${file}:${line} is passed over: ${reason}\n`);
  let map: MapRow | undefined;
  for await (const { record, line } of readRecords(file, { onBadRow: (bad) => pass(bad.line, bad.reason) })) {
    map ??= chooseMapping(mapping, record).map;
    try {
      yield { name: String(line), row: map(record) };
    } catch (error) {
      if (!(error instanceof PrimekitError)) throw error;
      pass(line, error.message);
    }
  }
}

async function openNew(file: string): Promise<FileHandle> {
  return open(file, "wx").catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === "EEXIST" ? "it exists already" : cause.message;
    throw new PrimekitError("ERR_IO", `Could not create ${file}: ${why}.`, { cause });
  });
}

/** The exit code after an interruption; every other error goes on. */
function stoppedCode(error: unknown, { exitCode, signal }: ReturnType<typeof listenForInterrupt>): number {
  const code = exitCode();
  if (code === undefined || error !== signal.reason) throw error;
  process.stdout.write("\n");
  return code;
}
