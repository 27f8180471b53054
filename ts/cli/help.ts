// --help: made from the flag table, so that it cannot fall behind the options.
import type { Flag } from "./flags.ts";

/** The help page of a command, at most `width` columns wide. */
export function renderHelp(usage: string, description: string, flags: readonly Flag[], width: number): string {
  const lines = [description, "", `Usage: ${usage}`];
  const indent = Math.min(34, 4 + Math.max(...flags.map((flag) => signature(flag).length)));
  for (const section of new Set(flags.map((flag) => flag.section))) {
    lines.push("", `${section}:`);
    for (const flag of flags.filter((candidate) => candidate.section === section)) lines.push(...renderFlag(flag, indent, width));
  }
  return lines.join("\n");
}

// --- internal ---

function signature({ name, type, valueOptional }: Flag): string {
  if (type === "boolean") return `--${name}`;
  return valueOptional ? `--${name} [VALUE]` : `--${name} ${type === "number" ? "N" : "VALUE"}`;
}

function renderFlag(flag: Flag, indent: number, width: number): string[] {
  const fallback = flag.default === undefined || flag.default === "" ? "" : ` [${flag.default}]`;
  const choices = flag.choices && !flag.choices.every((choice) => flag.description.includes(choice)) ? `: ${flag.choices.join(", ")}` : "";
  const text = wrap(`${flag.description}${choices}${fallback}`, Math.max(30, width - indent));
  const head = `  ${signature(flag)}`;
  const first = head.length <= indent - 2 ? [head.padEnd(indent) + text[0]] : [head, " ".repeat(indent) + text[0]];
  return [...first, ...text.slice(1).map((line) => " ".repeat(indent) + line)];
}

function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1];
    if (last !== "" && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines;
}
