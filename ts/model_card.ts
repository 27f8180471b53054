// The model card: a short README.md that says what a saved model is and what its run measured.
import type { CompleteConfig } from "./model_config.ts";
import { VERSION } from "./version.ts";

export interface ModelCard {
  title: string;
  /** What the model is, in a sentence or two. */
  text: string;
  baseModel?: string; // hub id of what it was trained from
  license?: string;
  /** Figures of the run, in order: name -> value. */
  figures?: Record<string, string | number | undefined>;
  /** Settings that somebody repeating the run would need. */
  settings?: Record<string, unknown>;
}

/** The card as Markdown, with the metadata block that the Hugging Face hub reads. */
export function makeModelCard(card: ModelCard, config: CompleteConfig): string {
  const figures = Object.entries(card.figures ?? {}).filter(([, value]) => value !== undefined);
  const { numHiddenLayers, hiddenSize, vocabSize, architecture } = config;
  return [
    "---",
    "library_name: transformers",
    "pipeline_tag: text-generation",
    ...(card.baseModel ? [`base_model: ${JSON.stringify(card.baseModel)}`] : []),
    ...(card.license ? [`license: ${JSON.stringify(card.license)}`] : []),
    "tags:",
    "- primekit",
    "---",
    "",
    `# ${card.title}`,
    "",
    card.text,
    "",
    `Architecture: ${architecture}, ${numHiddenLayers} layers, hidden size ${hiddenSize}, ${vocabSize} tokens. Made with primekit ${VERSION}.`,
    ...(figures.length > 0 ? ["", "| figure | value |", "|---|---|", ...figures.map(([name, value]) => `| ${cell(name)} | ${cell(show(value))} |`)] : []),
    ...(card.settings ? ["", "Settings of the run:", "", "```json", JSON.stringify(card.settings, null, 2), "```"] : []),
    "",
  ].join("\n");
}

// --- internal ---

function show(value: string | number | undefined): string {
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value);
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
