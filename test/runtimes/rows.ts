// Rows of every format through a dataset, printed: the same program for every runtime. Arguments: a folder of files, a cache folder.
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { Dataset } from "../../ts/data/dataset.ts";
import { rowAt } from "../../ts/data/order.ts";

const [folder, cacheDir] = process.argv.slice(2);
const result = [];
for (const name of readdirSync(folder).sort()) {
  const dataset = await Dataset.open(join(folder, name), { cacheDir, holdOut: 2, maxBadShare: 1 });
  const { source, badRows, ...counts } = dataset.report;
  const rows = Array.from({ length: dataset.length }, (_, i) => dataset.at(rowAt(1, 0, i, dataset.length)));
  const bad = badRows.map(({ file, line }) => `${basename(file)}:${line}`); // reasons quote the runtime's own JSON errors
  result.push({ name: basename(source), counts, bad, rows: rows.map(({ file: _, ...row }) => row), heldOut: dataset.heldOut.map(({ id }) => id) });
  dataset.close();
}
console.log(JSON.stringify(result));
