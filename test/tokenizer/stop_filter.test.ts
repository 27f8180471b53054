import { expect, test } from "bun:test";
import { StopFilter } from "../../ts/tokenizer/stop_filter.ts";
import { Random } from "../support/random.ts";

const filtered = (stops: string[], pieces: string[]) => {
  const filter = new StopFilter(stops);
  return [...pieces.map((piece) => filter.push(piece)), filter.end()];
};

/** Letter by letter: the text before the first stop string to be complete, the longest of those. */
function upToStop(text: string, stops: string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const lengths = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => stop.length);
    if (lengths.length > 0) return text.slice(0, end - Math.max(...lengths));
  }
  return text;
}

test("text up to the first stop string, whatever the pieces", () => {
  const random = new Random(3);
  for (let round = 0; round < 3000; round++) {
    const text = Array.from({ length: random.integer(0, 14) }, () => "ab\n"[random.integer(0, 3)]).join("");
    const stops = Array.from({ length: random.integer(0, 3) }, () => Array.from({ length: random.integer(1, 4) }, () => "ab\n"[random.integer(0, 3)]).join(""));
    const pieces: string[] = [];
    for (let rest = text; rest !== ""; rest = rest.slice(pieces.at(-1)?.length)) pieces.push(rest.slice(0, random.integer(1, 4)));
    expect(filtered(stops, pieces).join("")).toBe(upToStop(text, stops));
  }
});

test("nothing is held back that cannot begin a stop string", () => {
  expect(filtered(["\n\n"], ["ab", "c\n", "d", "\n", "\n", "e"])).toEqual(["ab", "c", "\nd", "", "", "", ""]);
  expect(filtered([], ["a", ""])).toEqual(["a", "", ""]);
  expect(filtered(["", "END"], ["EN", "E"])).toEqual(["", "EN", "E"]);
});
