// A task with a rule-based outcome for stories260K, a pretrained model of 0.26 M weights: tell a short story about the thing that was asked for.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Draws } from "../../ts/data/random.ts";
import type { Task } from "../../ts/data/task.ts";
import type { Problem } from "../../ts/data/types.ts";
import { PrimekitError } from "../../ts/errors.ts";
import { Tokenizer } from "../../ts/tokenizer/tokenizer.ts";
import type { Verifier } from "../../ts/verifiers/types.ts";

export const STORIES_MODEL = join(import.meta.dirname, "..", "..", "..", "shared", "models", "stories260K", "hf-qwen2");

/** What the story is to be about: things that this model can name now and then. The held-out words are never asked for in training. */
export const WORDS = {
  train: "tree,box,ball,puzzle,car,bird,cat,park,cake,book,truck,cup,pig,rope,bug,hill,house,bike,duck,stick".split(","),
  heldOut: "toy,bag,fish,mouse,dog,rabbit,banana,pond,pen,tower,sun,picture".split(","),
};
const NAMES = "Tim,Tom,Ben,Max,Sam,Jack,Lily,Sue,Mia,Anna,Lucy,Amy".split(",");
const BOYS = 6; // the first so many of NAMES
const END = "<s>"; // this model ends a story with the token that begins the next one
const MAX_MENTIONS = 4;
const MIN_SENTENCES = 5;

/** The task on the tokenizer of a stories260K directory; 48 held-out prompts. */
export function storiesTask(dir: string, seed: number): Task {
  return {
    name: "stories",
    tokenizer: storiesTokenizer(dir),
    demonstrations: {
      at: () => {
        throw new PrimekitError("ERR_DATA", "The stories task has no demonstrations: its model is trained already.");
      },
    },
    train: { at: (index) => problem(`train-${index}`, new Draws(seed, 1, index), WORDS.train) },
    heldOut: WORDS.heldOut.flatMap((word) => [0, 3, 6, 9].map((name) => toProblem(`held-out-${word}-${NAMES[name]}`, word, name))),
    verifier: storiesVerifier,
  };
}

/**
 * Right: the story ends by itself, with a full sentence; it names the thing at least once and at most four times; it has five sentences or more and
 * says none of them twice. The limits are there because repeating the word is the cheapest way to contain it.
 */
export const storiesVerifier: Verifier = {
  name: "stories",
  verify: async (items) =>
    items.map(({ response, answer }) => {
      const fault = faultOf(response, answer);
      return { score: fault ? 0 : 1, outcome: fault ? "wrong" : "correct", extracted: undefined, reason: fault ?? "The story is as asked for." };
    }),
};

/** For `bun run train.ts --model DIR --task test/bench/stories_task.ts`. */
export default ({ seed }: { seed: number }): Task => storiesTask(STORIES_MODEL, seed);

// --- internal ---

function faultOf(response: string, word: string): string | undefined {
  const story = response.trimEnd();
  if (!story.endsWith(END)) return "The story does not end within the limit.";
  const text = story.slice(0, -END.length).trim();
  if (!/[.!?]"?$/.test(text)) return "The story ends in the middle of a sentence.";
  const mentions = text.match(new RegExp(`\\b${word}s?\\b`, "gi"))?.length ?? 0;
  if (mentions === 0) return `The story does not mention the ${word}.`;
  if (mentions > MAX_MENTIONS) return `The story mentions the ${word} ${mentions} times.`;
  const sentences = text.split(/[.!?]+"?(?:\s+|$)/).flatMap((sentence) => (sentence === "" ? [] : [sentence.toLowerCase()]));
  if (sentences.length < MIN_SENTENCES) return "The story is too short.";
  if (new Set(sentences).size < sentences.length) return "The story repeats a sentence.";
  return undefined;
}

function problem(id: string, draws: Draws, words: readonly string[]): Problem {
  return toProblem(id, words[draws.integer(0, words.length - 1)], draws.integer(0, NAMES.length - 1));
}

function toProblem(id: string, word: string, name: number): Problem {
  const child = name < BOYS ? "boy" : "girl";
  const prompt = `${END}This is a story about a ${word}. Once upon a time, there was a little ${child} named ${NAMES[name]}.`;
  return { id, prompt, answer: word, level: 1 };
}

/** The model's tokenizer, with its end-of-story token as a part of the text: the verifier has to see whether a story ended. */
function storiesTokenizer(dir: string): Tokenizer {
  const read = (name: string) => JSON.parse(readFileSync(join(dir, name), "utf8"));
  const json = read("tokenizer.json");
  const added_tokens = json.added_tokens.map((token: object) => ({ ...token, special: false }));
  return Tokenizer.fromJson({ ...json, added_tokens }, { ...read("tokenizer_config.json"), eos_token: END });
}
