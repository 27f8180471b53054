// Stages of tokenizer.json that @huggingface/tokenizers carries out a little differently from the reference, written as stages that it does exactly.
import type { Stage, TokenizerJson } from "./supported.ts";

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

// One difference stays: letters and digits that came with Unicode 17 are such for an engine that knows them, and symbols for the reference. Every
// character has been tried beside letters, digits, spaces, quotes, newlines and itself: no id of Qwen2.5 changes by it.

/**
 * The same tokenizer, for the library. White space and numbers are Unicode's there, not JavaScript's:
 * ByteLevel's own pattern (takes U+FEFF for a space and U+0085 for none) and Digits (knows ASCII digits only) become Split;
 * Metaspace with `split` (ignored by the library) becomes Metaspace and Split.
 */
export function exactStages(json: TokenizerJson): TokenizerJson {
  return { ...json, pre_tokenizer: json.pre_tokenizer && exact(json.pre_tokenizer) };
}

// --- internal ---

function exact(stage: Stage): Stage {
  if (stage.type === "Sequence") return sequence((stage.pretokenizers as Stage[]).map(exact));
  if (stage.type === "Digits") return split(stage.individual_digits ? "\\p{N}" : "\\p{N}+");
  if (stage.type === "ByteLevel" && stage.use_regex !== false) return sequence([split(GPT2), { ...stage, use_regex: false }]);
  if (stage.type === "Metaspace" && stage.split !== false) {
    const mark = String(stage.replacement ?? "\u2581");
    return sequence([stage, split(`${mark}[^${mark}]*`)]);
  }
  return stage;
}

const split = (pattern: string): Stage => ({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false });

const sequence = (pretokenizers: Stage[]): Stage => ({ type: "Sequence", pretokenizers });
