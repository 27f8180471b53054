// Sampling 96 tokens for 256 different prompts of 32, against transformers' generate in float32 (its default) and bfloat16.
import { alternate, type Comparison, matmulRate, report, seconds, type Timed } from "./harness.ts";
import { Peer } from "./peer.ts";
import { generationFlops, loadModel, MODELS, type ModelName, randomPrompts } from "./sizes.ts";

const SEQUENCES = 256;
const PROMPT = 32;
const NEW = 96;
const targets: Record<ModelName, number> = { tiny: 6, small: 4 };
let versions: Record<string, string> = {};

async function compare(name: ModelName): Promise<Comparison[]> {
  const config = MODELS[name];
  using model = await loadModel(name, "bfloat16");
  using exact = await loadModel(name, "float32");
  const prompts = randomPrompts(SEQUENCES, PROMPT, config.vocabSize);
  const generate = (which: typeof model) => seconds(() => which.generate(prompts, { maxNewTokens: NEW, seed: 1, stop: { tokens: [] } }));
  const peers = { float32: await Peer.start("generation.py", name, "float32"), bfloat16: await Peer.start("generation.py", name, "bfloat16") };
  versions = peers.float32?.versions ?? {};
  const contestants: Record<string, Timed> = { ours: () => generate(model), exact: () => generate(exact) };
  for (const [dtype, peer] of Object.entries(peers)) if (peer) contestants[dtype] = () => peer.run();
  const times = await alternate(contestants);
  for (const peer of Object.values(peers)) peer?.stop();
  const shared = { unit: { name: "tok/s", per: SEQUENCES * NEW }, flops: SEQUENCES * generationFlops(config, PROMPT, NEW, 1) };
  const rates = { bfloat16: await matmulRate("bfloat16"), float32: await matmulRate("float32") };
  const against = (peer: "float32" | "bfloat16", target: number | undefined): Comparison => {
    const what = `generation, ${name}, bfloat16 (peer: ${peer})`;
    return { ...shared, what, ours: times.ours, peer: times[peer], target, rate: rates.bfloat16 };
  };
  return [
    against("float32", targets[name]),
    against("bfloat16", undefined),
    { ...shared, what: `generation, ${name}, float32 (peer: float32)`, ours: times.exact, peer: times.float32, target: undefined, rate: rates.float32 },
  ];
}

const rows = [...(await compare("tiny")), ...(await compare("small"))];
report(
  "generation",
  rows,
  ["256 different prompts of 32 tokens, 96 sampled tokens each at temperature 1, none stopped early; models as in training_step."],
  versions,
);
