// Every error primekit throws on purpose carries a stable `code`; the message is a full sentence.

export type ErrorCode =
  | "ERR_ABORTED"
  | "ERR_ADDON_NOT_FOUND"
  | "ERR_ADDON_BUILD"
  | "ERR_ARRAY_FREED"
  | "ERR_CHECKPOINT"
  | "ERR_CONFIG"
  | "ERR_DATA"
  | "ERR_DEVICE_LOST"
  | "ERR_HUB"
  | "ERR_HUB_ACCESS"
  | "ERR_HUB_CHECKSUM"
  | "ERR_HUB_UNAVAILABLE"
  | "ERR_HUB_NOT_FOUND"
  | "ERR_HUB_OFFLINE"
  | "ERR_INVALID_ARGUMENT"
  | "ERR_IO"
  | "ERR_MODEL_CLOSED"
  | "ERR_MODEL_FORMAT"
  | "ERR_NON_FINITE"
  | "ERR_OUT_OF_MEMORY"
  | "ERR_STATE"
  | "ERR_TOKENIZER"
  | "ERR_UNSUPPORTED"
  | (string & {});

/** What primekit throws on purpose. `code` stays the same over versions; the message says what is wrong, in words for people; `cause` has the error behind it. */
export class PrimekitError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PrimekitError";
    this.code = code;
  }
}

/** A TypeError (wrong kind of value) that names the argument, what was expected and what came. */
export function typeError(argument: string, expected: string, got: unknown): TypeError {
  return Object.assign(new TypeError(`${argument} must be ${expected}, but got ${describe(got)}.`), { code: "ERR_INVALID_ARGUMENT" });
}

/** A RangeError (right kind, wrong value). */
export function rangeError(argument: string, expected: string, got: unknown): RangeError {
  return Object.assign(new RangeError(`${argument} must be ${expected}, but got ${describe(got)}.`), { code: "ERR_INVALID_ARGUMENT" });
}

/** A short text for a value in an error message; never throws. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "string") return value.length > 60 ? `the string ${JSON.stringify(value.slice(0, 60))}…` : `the string ${JSON.stringify(value)}`;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (ArrayBuffer.isView(value))
    return `${value.constructor.name.startsWith("I") ? "an" : "a"} ${value.constructor.name} of ${"length" in value ? String(value.length) : value.byteLength} elements`;
  if (Array.isArray(value)) return `an array of ${value.length} elements`;
  if (typeof value === "object") return `an object (${Object.prototype.toString.call(value).slice(8, -1)})`;
  return `a ${typeof value}`;
}
