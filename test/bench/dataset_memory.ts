// Memory of a dataset does not grow with its file: bun test/bench/dataset_memory.ts [GB]. Makes a JSONL file of that size (default 2), opens it, reads rows at random.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dataset } from "../../ts/data/dataset.ts";
import { rowOf } from "../../ts/data/order.ts";

const MIB = 1 << 20;

/** Writes rows of 200 to 1,600 bytes, every thousandth of them bad, until the file has `bytes`. */
export function writeRows(file: string, bytes: number): void {
  const descriptor = openSync(file, "w");
  let row = 0;
  for (let written = 0; written < bytes; ) {
    let text = "";
    while (text.length < MIB) {
      const filler = "lorem ipsum dolor sit amet ".repeat(4 + ((row * 7919) % 50));
      text += row % 1000 === 999 ? "not a row\n" : `${JSON.stringify({ question: `What is ${row} + 1? ${filler}`, answer: `#### ${row + 1}` })}\n`;
      row++;
    }
    written += writeSync(descriptor, text);
  }
  closeSync(descriptor);
}

/** Opens the file and reads `reads` rows at random; the process's largest resident size in MiB, the rows, and the seconds of both. */
export async function measure(file: string, reads: number) {
  const start = performance.now();
  const dataset = await Dataset.open(file, { needs: ["answer"], holdOut: 256 });
  const opened = performance.now();
  for (let i = 0; i < reads; i++) {
    const row = dataset.at(rowOf(1, i, dataset.length));
    if (row.prompt?.startsWith(`What is ${Number(row.answer) - 1} + 1?`) !== true) throw new Error(`Row ${row.line} is not what was written.`);
  }
  const { kept, bad, heldOut } = dataset.report;
  dataset.close();
  const read = performance.now();
  return {
    mebibytes: peakMebibytes(),
    kept,
    bad,
    heldOut,
    openSeconds: (opened - start) / 1000,
    readSeconds: (read - opened) / 1000,
  };
}

/** The largest resident size of this program. (resourceUsage().maxRSS counts what the parent had when it forked.) */
function peakMebibytes(): number {
  const kibibytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Math.round(Number(kibibytes) / 1024);
}

if (import.meta.main) {
  const [first, second] = process.argv.slice(2);
  if (first === "measure") {
    console.log(JSON.stringify(await measure(second, 20_000)));
  } else {
    const dir = mkdtempSync(join(tmpdir(), "primekit-memory-"));
    try {
      const file = join(dir, "rows.jsonl");
      writeRows(file, Number(first ?? 2) * 1024 * MIB);
      console.log(`${(statSync(file).size / 2 ** 30).toFixed(2)} GiB`);
      // In a process of its own, so that writing the file does not count.
      console.log(
        Bun.spawnSync([process.execPath, import.meta.filename, "measure", file], { stderr: "inherit" })
          .stdout.toString()
          .trim(),
      );
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }
}
