// 05: talk to a checkpoint.   bun examples/05_chat.ts [MODEL_FOLDER]   (about 20 seconds without a folder)
//
// With a folder (a run's checkpoints/…/policy, or any Qwen2 or Llama model) you talk to that model. Without one, the example first teaches a tiny
// model a little game over several turns: the user asks for a sum, then says what to add to it. The second answer can only come from the conversation,
// and only the assistant's words are learned: the loss leaves out system prompt, questions and chat marks. Then it loads what it saved and talks to it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { arithmeticTask, type ChatMessage, encodeConversation, generateText, Model, promptIds, runSft, Tokenizer } from "../ts/index.ts";
import { tinyModel } from "./shared.ts";

const KEPT = Array.from({ length: 11 }, (_, i) => 5 + 97 * i); // games that are not trained on, but asked afterwards
const given = process.argv[2];
const folder = given ?? (await teach());
using model = await Model.load(folder, { trainable: false });
const tokenizer = await Tokenizer.load(folder);

if (process.stdin.isTTY) {
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: "you:   " });
  const messages: ChatMessage[] = [];
  lines.prompt();
  for await (const line of lines) {
    await say(messages, line);
    lines.prompt();
  }
} else if (!given) {
  let right = 0;
  for (const index of KEPT) {
    const messages: ChatMessage[] = []; // a new conversation
    for (const [question, answer] of chunks(game(index))) {
      console.log(`you:   ${question.content}`);
      right += Number((await say(messages, question.content)) === answer.content);
    }
    console.log();
  }
  console.log(`${right} of ${2 * KEPT.length} answers are right`);
}
if (!given) await rm(folder, { recursive: true });

/** Asks, writes the answer while it comes, and keeps both in the conversation. */
async function say(messages: ChatMessage[], question: string): Promise<string> {
  messages.push({ role: "user", content: question });
  process.stdout.write("model: ");
  const onText = (piece: string) => void process.stdout.write(piece); // whole characters, as soon as their last token is drawn
  const [answer] = await generateText(model, tokenizer, [promptIds(tokenizer, messages)], { maxNewTokens: 200, temperature: 0, onText });
  process.stdout.write("\n");
  messages.push({ role: "assistant", content: answer.text });
  return answer.text;
}

/** Game 0 … 999: a sum of two digits, then a third one to add. */
function game(index: number): ChatMessage[] {
  const [a, b, c] = [index % 10, Math.floor(index / 10) % 10, Math.floor(index / 100) % 10];
  return [`${a}+${b}`, `${a + b}`, `+${c}`, `${a + b + c}`].map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
}

function chunks(messages: ChatMessage[]): [ChatMessage, ChatMessage][] {
  return [
    [messages[0], messages[1]],
    [messages[2], messages[3]],
  ];
}

/** Fine-tunes a tiny model on conversations of the game and returns the folder it was saved in. */
async function teach(): Promise<string> {
  const task = arithmeticTask({}); // for its tokenizer
  using pupil = await tinyModel(task);
  // the other 989 games, in an order that mixes them: 389 has no divisor in common with 1000
  const at = (index: number) => {
    const chosen = (index * 389) % 1000;
    return encodeConversation(task.tokenizer, game(KEPT.includes(chosen) ? chosen + 1 : chosen));
  };
  await runSft({
    model: pupil,
    source: { tokenizer: task.tokenizer, at, heldOut: [] },
    config: { steps: 500, batchSize: 32, lr: 5e-3, warmupSteps: 30, decay: "cosine", finalLrRatio: 0.05, beta2: 0.95 },
    onEvent: (event) => {
      if (event.type === "step" && event.step % 100 === 0)
        console.log(`fine-tuning: ${event.step} of ${event.steps} steps, loss ${event.metrics["sft/loss"]?.toFixed(3)}`);
    },
  });
  const folder = await mkdtemp(join(tmpdir(), "primekit-chat-"));
  await pupil.save(folder);
  await task.tokenizer.save(folder);
  console.log(`saved in ${folder}\n`);
  return folder;
}
