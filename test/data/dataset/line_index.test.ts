import { expect, test } from "bun:test";
import { LineIndex } from "../../../ts/data/dataset/line_index.ts";
import { Draws } from "../../../ts/data/random.ts";

test("places of random rows, before and after lines are taken out", () => {
  for (const lines of [1, 15, 16, 17, 1000, 5000]) {
    const draws = new Draws(1, 1, lines);
    const index = new LineIndex();
    const offsets: number[] = [];
    let rows: number[] = []; // lines from 1
    let offset = 0;
    for (let line = 1; line <= lines; line++) {
      const isRow = line === 1 || draws.chance(0.7);
      if (isRow) rows.push(line);
      offsets.push(offset);
      index.add(offset, isRow);
      offset += draws.integer(1, 100);
    }
    index.close(offset);
    const check = () => {
      expect(index.length).toBe(rows.length);
      rows.forEach((line, k) => {
        const first = (line - 1) & ~15;
        const next = first + 16;
        expect(index.place(k)).toEqual({ line, begin: offsets[first], end: next < lines ? offsets[next] : offset, inBlock: line - 1 - first });
      });
    };
    check();
    const out = rows.filter(() => draws.chance(0.3));
    index.remove(out);
    rows = rows.filter((line) => !out.includes(line));
    check();
  }
});
