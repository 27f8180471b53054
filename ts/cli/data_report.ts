// What is said of a job's data: on the terminal in a few lines, in the run folder's data.json in full.
import { join } from "node:path";
import type { DatasetReport } from "../data/dataset.ts";
import { writeFileAtomic } from "../run/io.ts";

const EVERY_MS = 5000;
const SHOWN = 3;

/** A line now and then while a large file is read through. */
export function createRowCounter(stream: NodeJS.WriteStream, now: () => number = () => performance.now()): (rows: number) => void {
  let last = now();
  return (rows) => {
    if (now() - last < EVERY_MS) return;
    last = now();
    stream.write(`Reading the data: ${rows.toLocaleString("en")} rows so far\n`);
  };
}

/** A line of counts for each source, and the first bad rows by file and line. */
export function describeData(reports: readonly DatasetReport[]): string[] {
  return reports.flatMap((report, i) => {
    const { source, mapping, rows, kept, bad, dropped, excluded, heldOut, badRows } = report;
    const use = i === 0 ? "to train on" : "held out";
    const others = [
      [heldOut, "held out"],
      [bad, "bad"],
      [dropped, "too long"],
      [excluded, "left out as held-out questions"],
    ].flatMap(([count, what]) => ((count as number) > 0 ? [`${count} ${what}`] : []));
    const counts = [`${kept} ${use}`, ...others].join(", ");
    const examples = badRows.slice(0, SHOWN).map(({ file, line, reason }) => `  bad row ${file}:${line}: ${reason}`);
    return [
      `Data: ${source}, read as ${mapping}, ${rows} rows: ${counts}`,
      ...examples,
      ...(bad > SHOWN ? [`  … the first ${badRows.length} are listed in data.json`] : []),
    ];
  });
}

export async function saveDataReports(dir: string, reports: readonly DatasetReport[]): Promise<void> {
  if (reports.length > 0) await writeFileAtomic(join(dir, "data.json"), `${JSON.stringify(reports, null, 2)}\n`);
}
