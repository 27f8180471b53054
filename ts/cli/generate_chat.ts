// --chat: a conversation on the terminal, or with lines from a pipe. Ctrl-C ends an answer, at the prompt the program.
import { createInterface } from "node:readline";
import { generateText, promptIds } from "../rollout/text.ts";
import type { ChatMessage } from "../tokenizer/chat.ts";
import { styleMessages } from "../tokenizer/prompts.ts";
import type { Speaker } from "./generate.ts";

const HELP = "Write to the model. /reset forgets the conversation, /exit or Ctrl-D ends it; Ctrl-C ends an answer.";

export async function chat({ model, tokenizer, config, sampling }: Speaker): Promise<number> {
  const isTerminal = process.stdin.isTTY === true;
  const start: ChatMessage[] = config.system === "" ? [] : [{ role: "system", content: config.system }];
  let messages = [...start];
  let turn = 0;
  let answering: AbortController | undefined;
  const lines = createInterface({ input: process.stdin, output: isTerminal ? process.stdout : undefined, prompt: "> " });
  const onInterrupt = () => (answering ? answering.abort() : lines.close());
  lines.on("SIGINT", onInterrupt); // readline takes Ctrl-C on a terminal
  process.on("SIGINT", onInterrupt);
  if (isTerminal) process.stdout.write(`${HELP}\n`);
  let closed = false; // Ctrl-D may come while an answer is written
  lines.on("close", () => {
    closed = true;
  });
  const ask = () => isTerminal && !closed && lines.prompt();
  ask();
  try {
    for await (const line of lines) {
      if (line.trim() === "/exit") break;
      if (line.trim() === "/reset") messages = [...start];
      else if (line.trim() !== "") {
        messages.push({ role: "user", content: line });
        answering = new AbortController();
        messages.push({ role: "assistant", content: await answer(messages, turn++, answering.signal) });
        answering = undefined;
      }
      ask();
    }
  } finally {
    process.off("SIGINT", onInterrupt);
    lines.close();
  }
  return 0;

  /** Writes the answer as it comes; returns all of it, or what there was when it was ended. */
  async function answer(asked: readonly ChatMessage[], firstSequence: number, signal: AbortSignal): Promise<string> {
    const styled = styleMessages(asked, config.promptStyle);
    const ids = promptIds(tokenizer, config.plain ? styled.map(({ content }) => content).join("\n") : styled);
    let text = "";
    const onText = (piece: string) => {
      text += piece;
      process.stdout.write(piece);
    };
    try {
      await generateText(model, tokenizer, [ids], { ...sampling, samples: 1, firstSequence, signal, onText });
    } catch (error) {
      if (error !== signal.reason) throw error;
    }
    process.stdout.write("\n");
    return text;
  }
}
