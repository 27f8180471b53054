// Curves over N: as SVG, and as text for the terminal.
import type { CurvePoint } from "../pick/curves.ts";
import type { Estimate } from "../pick/interval.ts";
import { type Aggregation, aggregations } from "../pick/metrics.ts";
import type { BenchmarkResult } from "./report.ts";

export interface Line {
  label: string;
  points: ({ n: number } & Estimate)[];
}

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"]; // told apart by the colour-blind too (Okabe and Ito)
const WIDTH = 760;
const HEIGHT = 440;
const BOX = { left: 64, right: 210, top: 44, bottom: 52 };

/** What is drawn: greedy as a level, majority, the best Best-of-N and weighted Best-of-N at the largest N, and pass@n. */
export function linesOf({ greedy, curve }: BenchmarkResult): Line[] {
  const line = (label: string, pick: (point: CurvePoint) => Estimate | undefined): Line => ({
    label,
    points: curve.flatMap((point) => {
      const value = pick(point);
      return value ? [{ n: point.n, ...value }] : [];
    }),
  });
  const top = (kind: "best" | "weighted"): Aggregation => {
    const table = curve.at(-1)?.[kind];
    const names = Object.keys(aggregations) as Aggregation[];
    return table ? names.reduce((best, how) => (table[how].value > table[best].value ? how : best)) : "minimum";
  };
  const [best, weighted] = [top("best"), top("weighted")];
  const lines = [
    line("pass@N", ({ pass }) => pass),
    line(`best of N (${best})`, (point) => point.best?.[best]),
    line(`weighted (${weighted})`, (point) => point.weighted?.[weighted]),
    line("majority", ({ majority }) => majority),
    line("mean", ({ mean }) => mean),
    line("greedy", () => greedy),
  ];
  return lines.filter(({ points }) => points.length > 0);
}

/** A picture of the curves with their intervals; N on a logarithmic axis. */
export function renderSvg(title: string, lines: readonly Line[]): string {
  const ns = lines[0]?.points.map(({ n }) => n) ?? [1];
  const most = Math.max(2, ...ns);
  const highest = Math.max(0.01, ...lines.flatMap(({ points }) => points.map(({ high }) => high)));
  const top = Math.min(1, Math.ceil(highest * 10) / 10);
  const x = (n: number) => BOX.left + ((WIDTH - BOX.left - BOX.right) * Math.log2(n)) / Math.log2(most);
  const y = (value: number) => HEIGHT - BOX.bottom - ((HEIGHT - BOX.top - BOX.bottom) * value) / top;
  const f = (value: number) => value.toFixed(1);
  const grid = Array.from({ length: 6 }, (_, i) => (top * i) / 5).map(
    (value) =>
      `<line x1="${BOX.left}" x2="${WIDTH - BOX.right}" y1="${f(y(value))}" y2="${f(y(value))}" stroke="#ddd"/>` +
      `<text x="${BOX.left - 8}" y="${f(y(value) + 4)}" text-anchor="end">${(100 * value).toFixed(0)} %</text>`,
  );
  const ticks = ns.map((n) => `<text x="${f(x(n))}" y="${HEIGHT - BOX.bottom + 20}" text-anchor="middle">${n}</text>`);
  const drawn = lines.map(({ label, points }, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const band = [...points.map(({ n, high }) => `${f(x(n))},${f(y(high))}`), ...points.toReversed().map(({ n, low }) => `${f(x(n))},${f(y(low))}`)];
    const path = points.map(({ n, value }) => `${f(x(n))},${f(y(value))}`).join(" ");
    const at = BOX.top + 14 + 22 * i;
    return (
      `<polygon points="${band.join(" ")}" fill="${colour}" opacity="0.12"/><polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2.2"/>` +
      points.map(({ n, value }) => `<circle cx="${f(x(n))}" cy="${f(y(value))}" r="2.6" fill="${colour}"/>`).join("") +
      `<line x1="${WIDTH - BOX.right + 16}" x2="${WIDTH - BOX.right + 40}" y1="${at}" y2="${at}" stroke="${colour}" stroke-width="3"/>` +
      `<text x="${WIDTH - BOX.right + 48}" y="${at + 4}">${escapeText(label)}</text>`
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13" fill="#222">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${BOX.left}" y="26" font-size="16" font-weight="bold">${escapeText(title)}</text>`,
    ...grid,
    ...ticks,
    `<text x="${f((BOX.left + WIDTH - BOX.right) / 2)}" y="${HEIGHT - 12}" text-anchor="middle">answers per problem (N)</text>`,
    ...drawn,
    "</svg>",
    "",
  ].join("\n");
}

/** The curves as text: one row of bars per line, one bar per N, scaled to the highest value. */
export function renderBars(lines: readonly Line[]): string {
  const BARS = " ▁▂▃▄▅▆▇█";
  const highest = Math.max(1e-9, ...lines.flatMap(({ points }) => points.map(({ value }) => value)));
  const width = Math.max(...lines.map(({ label }) => label.length));
  return lines
    .map(({ label, points }) => {
      const bars = points.map(({ value }) => BARS[Math.round((8 * value) / highest)]).join("");
      return `${label.padEnd(width)}  ${bars}  ${(100 * (points.at(-1)?.value ?? 0)).toFixed(1)} %`;
    })
    .join("\n");
}

// --- internal ---

function escapeText(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
