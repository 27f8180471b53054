// The verifier of a job with data: by name, or a file of the user's own.
import { PrimekitError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";
import { arithmeticVerifier } from "../verifiers/arithmetic.ts";
import type { Verifier } from "../verifiers/types.ts";
import { importDefault, isModulePath } from "./user_module.ts";

const NAMES = ["arithmetic"];

/** Throws ERR_CONFIG for a name that is not known and for a file that exports no verifier. */
export async function makeVerifier(name: string): Promise<Verifier> {
  if (isModulePath(name)) return loadVerifier(name);
  if (name === "arithmetic") return arithmeticVerifier;
  throw new PrimekitError(
    "ERR_CONFIG",
    `There is no verifier ${JSON.stringify(name)}.${didYouMean(name, NAMES)} There are ${NAMES.join(", ")}, and any TypeScript file with a Verifier.`,
  );
}

// --- internal ---

/** The default export is a Verifier, or a function that makes one. */
async function loadVerifier(path: string): Promise<Verifier> {
  const exported = await importDefault(path, "verifier");
  const verifier: unknown = typeof exported === "function" ? await exported() : exported;
  const { name, verify } = (verifier ?? {}) as Partial<Verifier>;
  if (typeof verify !== "function" || typeof name !== "string")
    throw new PrimekitError("ERR_CONFIG", `The default export of ${path} must be a Verifier ({ name, verify(items, options) }), or a function that makes one.`);
  return verifier as Verifier;
}
