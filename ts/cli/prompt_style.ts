// --promptStyle: what is added to a row's messages.
import type { PromptStyle } from "../data/prompt_text.ts";
import { PrimekitError } from "../errors.ts";

/** Throws ERR_CONFIG for a style that is not known. */
export function promptStyleOf(name: string): PromptStyle | undefined {
  if (name === "none" || name === "auto") return undefined;
  throw new PrimekitError("ERR_CONFIG", `There is no prompt style ${JSON.stringify(name)}.`);
}
