// Unicode normalisation as the reference tokenizers do it: by the tables of Unicode 9. JavaScript engines have newer ones, each its own.
import type { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";

/**
 * Characters that normalisation touches (a combining class, a decomposition, a part in a composition) in some version after Unicode 9, up to 17.
 * The reference does not know them: it leaves them as they are and where they are, and nothing around them combines across them.
 * Found by comparing all four forms of every character, alone and beside marks of other classes, with tokenizers 0.23.
 */
const AFTER_UNICODE_9 = `
  07FD 0897-089F 08CA-08D3 09FE 0C3C 0D3B-0D3C 0EBA 1715 1ABF-1ADD 1AE0-1AEB 1DF6-1DFA 32FF A7F1-A7F4 A82C AB69 105C9 105D2 105DA 105E4
  10781-10785 10787-107B0 107B2-107BA 10D24-10D27 10D69-10D6D 10EAB-10EAC 10EFA-10EFB 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 1133B
  11382-11385 1138B 1138E 11390-11391 113B8 113BB 113C2 113C5 113C7-113C9 113CE-113D0 1145E 11839-1183A 11930 11935 11938 1193D-1193E 11943
  119E0 11A34 11A47 11A99 11D42 11D44-11D45 11D97 11F41-11F42 1611E-16129 1612F 16D63 16D67-16D6A 16FF0-16FF1 1CCD6-1CCF9 1E030-1E06D 1E08F
  1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF 1E6E3 1E6E6 1E6EE-1E6EF 1E6F5 1F16C 1FBF0-1FBF9`;

const UNTOUCHED = new RegExp(
  `([${AFTER_UNICODE_9.trim()
    .replace(/[0-9A-F]+/g, "\\u{$&}")
    .replace(/\s+/g, "")}])`,
  "u",
);

export type NormalForm = "NFC" | "NFD" | "NFKC" | "NFKD";

/** The text in a normal form, by the tables of Unicode 9. */
export function normalizeAsReference(text: string, form: NormalForm): string {
  const whole = text.normalize(form);
  if (whole === text || !UNTOUCHED.test(text)) return whole;
  return text
    .split(UNTOUCHED)
    .map((part, i) => (i % 2 === 1 ? part : part.normalize(form)))
    .join("");
}

/** Makes every normaliser stage of a tokenizer that asks for a normal form use the tables above. */
export function pinNormalization(tokenizer: HfTokenizer): void {
  const visit = (stage: NormalizerStage | null) => {
    const { form } = stage ?? {};
    if (stage && form) stage.normalize = (text) => normalizeAsReference(text, form);
    stage?.normalizers?.forEach(visit);
  };
  visit(tokenizer.normalizer as NormalizerStage | null);
}

// --- internal ---

/** What the library's stages have in common; only the four normal forms have a `form`, only sequences have `normalizers`. */
interface NormalizerStage {
  form?: NormalForm;
  normalizers?: (NormalizerStage | null)[];
  normalize(text: string): string;
}
