import { expect, test } from "bun:test";
import { listenForInterrupt } from "../../ts/cli/interrupt.ts";
import { PrimekitError } from "../../ts/errors.ts";

test("only the stop itself becomes an exit code: an error that comes with it is thrown on", () => {
  const interrupt = listenForInterrupt(() => undefined);
  try {
    const fault = new Error("the disk is full");
    expect(() => interrupt.exitCodeFor(new PrimekitError("ERR_ABORTED", "Not by us."))).toThrow("Not by us.");
    process.emit("SIGTERM", "SIGTERM");
    expect(interrupt.exitCode()).toBe(143);
    for (const error of [interrupt.signal.reason, new PrimekitError("ERR_ABORTED", "Reading was aborted.")]) expect(interrupt.exitCodeFor(error)).toBe(143);
    expect(() => interrupt.exitCodeFor(fault)).toThrow(fault);
  } finally {
    interrupt.dispose();
  }
});
