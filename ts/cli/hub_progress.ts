// Progress of a download on the terminal: one bar with bytes, pace and time left; plain lines where there is no terminal.
import cliProgress from "cli-progress";
import type { HubProgress } from "../hub/settings.ts";
import { duration } from "./format.ts";

export interface DownloadProgress {
  onProgress(progress: HubProgress): void;
  onNote(sentence: string): void;
  stop(): void;
}

const LINE_EVERY_MS = 5000;

/** Hand onProgress and onNote to resolveModel() and resolveDataset(); nothing is shown for what is in the cache already. */
export function createDownloadProgress(stream: NodeJS.WriteStream, now: () => number = () => performance.now()): DownloadProgress {
  let first: { at: number; done: number } | undefined;
  let bar: cliProgress.SingleBar | undefined;
  let lastLine = now();
  const began = now();
  const text = ({ done, total }: HubProgress) => {
    const pace = first && now() > first.at ? (done - first.done) / ((now() - first.at) / 1000) : 0;
    return `${bytes(done)} of ${bytes(total)} · ${bytes(pace)}/s · ${duration(pace > 0 ? (total - done) / pace : undefined)} left`;
  };
  return {
    onProgress(progress) {
      const isOver = progress.done >= progress.total;
      if (!first) {
        if (isOver) return;
        first = { at: began, done: progress.done };
      }
      const fields = { text: text(progress), file: progress.file };
      if (stream.isTTY) {
        if (!bar) {
          bar = new cliProgress.SingleBar({
            stream,
            format: "Downloading {bar} {text} · {file}",
            barCompleteChar: "█",
            barIncompleteChar: "░",
            barsize: 24,
            hideCursor: true,
            linewrap: false,
          });
          bar.start(progress.total, progress.done, fields);
        }
        bar.setTotal(progress.total);
        bar.update(progress.done, fields);
      } else if (isOver || now() - lastLine >= LINE_EVERY_MS) {
        lastLine = now();
        stream.write(`Downloading: ${fields.text}\n`);
      }
    },
    onNote: (sentence) => void stream.write(`${bar ? "\n" : ""}${sentence}\n`),
    stop: () => bar?.stop(),
  };
}

/** 950 B, 9.5 MB, 15.2 GB. */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, n)) / 3)));
  const scaled = n / 1000 ** unit;
  return `${scaled.toFixed(unit === 0 || scaled >= 100 ? 0 : 1)} ${units[unit]}`;
}
