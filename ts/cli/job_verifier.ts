// The verifier of a job with data: by name, or a file of the user's own.
import { PrimekitError } from "../errors.ts";
import { didYouMean } from "../suggest.ts";
import { type CreateVerifierOptions, createVerifier, VERIFIER_NAMES, type VerifierName } from "../verifiers/create.ts";
import type { Verifier } from "../verifiers/types.ts";
import { importDefault, isModulePath } from "./user_module.ts";

/** Throws ERR_CONFIG for a name that is not known and for a file that exports no verifier. */
export async function makeVerifier(name: string, options?: CreateVerifierOptions): Promise<Verifier> {
  if (isModulePath(name)) return loadVerifier(name);
  if ((VERIFIER_NAMES as readonly string[]).includes(name)) return createVerifier(name as VerifierName, options);
  throw new PrimekitError(
    "ERR_CONFIG",
    `There is no verifier ${JSON.stringify(name)}.${didYouMean(name, VERIFIER_NAMES)} There are ${VERIFIER_NAMES.join(", ")}, and any TypeScript file with a Verifier.`,
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
