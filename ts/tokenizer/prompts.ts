// PRIME's prompts: a system message that asks for an answer in named actions, and a line behind the question that says how to give the result.
import { rangeError } from "../errors.ts";
import type { ChatMessage } from "./chat.ts";

/** What styleMessages() may add: nothing, PRIME's prompts for mathematics or code, or ("auto") those of the row's ability. */
export const promptStyles = ["none", "math", "code", "auto"] as const;
export type PromptStyle = (typeof promptStyles)[number];

/**
 * The action format: the actions and the layout of PRIME's system prompt, in our words. Rows that bring a system message of their own
 * (those of Eurus-2-RL-Data bring the original) keep it.
 */
export const ACTION_PROMPT = `Work on hard reasoning problems by taking one of these actions after another, as many as you need and in the order that serves you.

[ASSESS]

[ADVANCE]

[VERIFY]

[SIMPLIFY]

[SYNTHESIZE]

[PIVOT]

[OUTPUT]

Keep strictly to this format:

[ACTION NAME]

# First step of the action

# Second step of the action

# Third step of the action

...

Next action: [NAME OF THE NEXT ACTION]`;

/** What stands behind the question, word for word as in PRIME's data. */
export const QUESTION_SUFFIXES = {
  math: "\n\nPresent the answer in LaTex format: \\boxed{Your answer}",
  code: "\n\nWrite Python code to solve the problem. Present the code in \n```python\nYour code\n```\nat the end.",
} as const;

/**
 * Messages in a prompt style. "math" and "code" put the action prompt in front, unless there is a system message, and the suffix behind the last
 * user message, unless it is there already; "auto" is the style named by `ability`, or none; "none" changes nothing. The input stays as it is.
 * Throws a RangeError for another style.
 */
export function styleMessages(messages: readonly ChatMessage[], style: PromptStyle, ability?: string): ChatMessage[] {
  if (!promptStyles.includes(style)) throw rangeError("style", `one of ${promptStyles.join(", ")}`, style);
  const kind = style === "auto" ? ability : style;
  if (kind !== "math" && kind !== "code") return [...messages];
  const suffix = QUESTION_SUFFIXES[kind];
  const last = messages.findLastIndex(({ role }) => role === "user");
  const asked = messages.map((message, i) =>
    i !== last || message.content.trimEnd().endsWith(suffix.trim()) ? message : { ...message, content: message.content + suffix },
  );
  return messages.some(({ role }) => role === "system") ? asked : [{ role: "system", content: ACTION_PROMPT }, ...asked];
}
