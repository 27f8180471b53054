// The program in a response.

/**
 * The last block fenced as Python (```python, ```py, ```python3), up to its closing fence or the response's end, as the reference grader takes it; else
 * the last fenced block without a language; else the whole text, when it has no fence at all. undefined when that leaves nothing. Indentation is kept.
 */
export function extractCode(response: string): string | undefined {
  const fence = Array.from(response.matchAll(PYTHON_FENCE)).at(-1) ?? Array.from(response.matchAll(PLAIN_BLOCK)).at(-1);
  if (!fence && response.includes("```")) return undefined;
  const body = fence ? response.slice(fence.index + fence[0].indexOf("\n") + 1) : response;
  const end = body.indexOf("```");
  const lines = (fence && end >= 0 ? body.slice(0, end) : body).replaceAll("\r\n", "\n").split("\n");
  const indent = fence?.[1] ?? ""; // a block inside a list item is indented as a whole
  const code = lines.map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line)).join("\n");
  return code.trim() === "" ? undefined : code.replace(/^(?:[ \t]*\n)+/, "").trimEnd();
}

// --- internal ---

const PYTHON_FENCE = /([ \t]*)```(?:python3?|py3?)[ \t]*\r?\n/gi;
const PLAIN_BLOCK = /([ \t]*)```[ \t]*\r?\n[\s\S]*?```/g;
