// Runs checks one after another, says how each went, and ends with one line: N passed, N failed, N skipped.
import type { Check, Outcome } from "./checks.ts";

/** The process's exit code: 0 when nothing failed. */
export async function runChecks(checks: readonly Check[]): Promise<number> {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const check of checks) {
    const start = performance.now();
    const outcome = await check.run();
    report(check.name, outcome, (performance.now() - start) / 1000);
    total.passed += outcome.passed;
    total.failed += outcome.failed;
    total.skipped += outcome.skipped;
  }
  process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
  return total.failed === 0 ? 0 : 1;
}

// --- internal ---

function report(name: string, { passed, failed, skipped, text }: Outcome, seconds: number): void {
  const many = passed + failed + skipped > 1 ? `: ${passed} passed, ${failed} failed, ${skipped} skipped` : "";
  const mark = failed > 0 ? "FAILED " : passed === 0 ? "skipped" : "ok     ";
  const reasons = failed > 0 ? `\n${text.trimEnd()}` : passed === 0 ? ` (${text})` : skippedLines(text);
  process.stdout.write(`${mark} ${name}${many}, ${seconds.toFixed(1)} s${reasons}\n`);
}

/** Tests say in a line of their own why they skip. */
function skippedLines(text: string): string {
  const lines = text.split("\n").filter((line) => /^skipped:|^\(skip\)/.test(line));
  return lines.map((line) => `\n        ${line}`).join("");
}
