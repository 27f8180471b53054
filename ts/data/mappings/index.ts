// The mappings that come with primekit, and which of them fits a row.
import { PrimekitError, typeError } from "../../errors.ts";
import { didYouMean } from "../../suggest.ts";
import { competition, olympiad } from "./benchmarks.ts";
import { chat } from "./chat.ts";
import { mapFields } from "./custom.ts";
import { eurus, eurusOld } from "./eurus.ts";
import { gsm8k } from "./gsm8k.ts";
import { humanEval } from "./human_eval.ts";
import { leetcode } from "./leetcode.ts";
import { math } from "./math.ts";
import { mbpp } from "./mbpp.ts";
import { plain } from "./plain.ts";
import type { FieldMapping, Mapping, MapRow, SourceRow } from "./types.ts";

export type { FieldMapping, MappedRow, Mapping, MapRow, SourceRow } from "./types.ts";

/** The more particular layouts come first. */
const MAPPINGS: readonly Mapping[] = [eurus, leetcode, humanEval, mbpp, gsm8k, competition, olympiad, math, eurusOld, chat, plain];

export const mappingNames: readonly string[] = MAPPINGS.map(({ name }) => name);

/** A mapping as a user may give it: a name, "auto" (by the columns of the first row), field paths, or a function. */
export type MappingOption = string | FieldMapping | MapRow;

/**
 * The mapping to use, and what to call it. `first` is the first row of the data, by which "auto" decides.
 * Throws ERR_CONFIG for an unknown name or field, and ERR_DATA when "auto" does not know the columns.
 */
export function chooseMapping(option: MappingOption, first: SourceRow): { name: string; map: MapRow } {
  if (typeof option === "function") return { name: "a function of your own", map: option };
  if (typeof option === "object" && option !== null) return { name: "fields of your own", map: mapFields(option) };
  if (typeof option !== "string") throw typeError("mapping", "a name, a table of fields or a function", option);
  if (option !== "auto") return byName(option);
  const found = MAPPINGS.find((mapping) => mapping.matches(first));
  if (found) return found;
  const columns = Object.keys(first).slice(0, 20).join(", ");
  throw new PrimekitError(
    "ERR_DATA",
    `No mapping knows the columns ${columns}. Say which of them holds what, for example mapping: { prompt: "question", answer: "final" }, or name one of ${mappingNames.join(", ")}.`,
  );
}

/** Throws what chooseMapping would throw whatever the data. */
export function checkMapping(option: MappingOption): void {
  if (option !== "auto") chooseMapping(option, {});
}

// --- internal ---

function byName(name: string): Mapping {
  const found = MAPPINGS.find((mapping) => mapping.name === name);
  if (found) return found;
  const names = ["auto", ...mappingNames];
  throw new PrimekitError("ERR_CONFIG", `There is no data mapping ${JSON.stringify(name)}.${didYouMean(name, names)} There are ${names.join(", ")}.`);
}
