// Sampling 96 tokens for 256 different prompts of 32, against transformers' generate in its faster type.
import { alternate, type BenchRow, matmulRate, median, seconds, type Timed, writeResult } from "./harness.ts";
import { Peer } from "./peer.ts";
import { generationFlops, loadModel, MODELS, type ModelName, randomPrompts } from "./sizes.ts";

const SEQUENCES = 256;
const PROMPT = 32;
const NEW = 96;
const targets: Record<ModelName, string> = { tiny: "6×", small: "4×" };
let versions: Record<string, string> = {};

async function compare(name: ModelName): Promise<BenchRow[]> {
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
  const tokens = SEQUENCES * NEW;
  const flops = SEQUENCES * generationFlops(config, PROMPT, NEW, 1);
  const best = times.float32 && (median(times.float32) < median(times.bfloat16) ? "float32" : "bfloat16");
  const row = (dtype: "float32" | "bfloat16", ours: number[], peak: number): BenchRow => ({
    what: `generation, ${name}, ${dtype}${best ? ` (peer: ${best}, its faster type)` : ""}`,
    unit: "tok/s",
    ours: tokens / median(ours),
    oursRuns: ours.map((t) => tokens / t),
    peer: best && tokens / median(times[best]),
    peerRuns: best ? times[best].map((t) => tokens / t) : [],
    ratio: best && median(times[best]) / median(ours),
    target: targets[name],
    floor: `${(flops / 1e9).toFixed(0)} GFLOP at ${(peak / 1e9).toFixed(0)} GFLOP/s measured on large products`,
    share: flops / median(ours) / peak,
  });
  return [row("bfloat16", times.ours, await matmulRate("bfloat16")), row("float32", times.exact, await matmulRate("float32"))];
}

const rows = [...(await compare("tiny")), ...(await compare("small"))];
writeResult(
  "generation",
  rows,
  ["256 different prompts of 32 tokens, 96 sampled tokens each at temperature 1, none stopped early; models as in training_step."],
  versions,
);
