// One training step (forward, backward, clipping, AdamW) of 64 x 128 tokens, against transformers under bfloat16 autocast.
import { pack } from "../support/models.ts";
import { alternate, type Comparison, matmulRate, report, seconds, type Timed } from "./harness.ts";
import { Peer } from "./peer.ts";
import { loadModel, MODELS, type ModelName, randomPrompts, trainingFlops } from "./sizes.ts";

const ROWS = 64;
const LENGTH = 128;
const targets: Record<ModelName, number> = { tiny: 1.5, small: 1.2 };
let versions: Record<string, string> = {};

async function compare(name: ModelName): Promise<Comparison[]> {
  const config = MODELS[name];
  using model = await loadModel(name, "bfloat16");
  using exact = await loadModel(name, "float32");
  const batch = pack(randomPrompts(ROWS, LENGTH, config.vocabSize));
  const step = (which: typeof model) =>
    seconds(async () => {
      await which.forwardBackward(batch, ({ logprobs }) => ({ dLogprobs: new Float32Array(logprobs.length).fill(-1 / logprobs.length) }));
      await which.step({ lr: 1e-4, gradClip: 1 });
    });
  const peer = await Peer.start("training_step.py", name, "bfloat16");
  versions = peer?.versions ?? {};
  const contestants: Record<string, Timed> = { ours: () => step(model), ...(peer && { peer: () => peer.run() }), exact: () => step(exact) };
  const times = await alternate(contestants);
  peer?.stop();
  const shared = { peer: times.peer, unit: { name: "tok/s", per: ROWS * LENGTH }, flops: ROWS * trainingFlops(config, LENGTH) };
  return [
    {
      ...shared,
      what: `training step, ${name}, bfloat16 (peer: bfloat16 autocast)`,
      ours: times.ours,
      target: targets[name],
      rate: await matmulRate("bfloat16"),
    },
    { ...shared, what: `training step, ${name}, float32 (peer: bfloat16 autocast)`, ours: times.exact, target: undefined, rate: await matmulRate("float32") },
  ];
}

const rows = [...(await compare("tiny")), ...(await compare("small"))];
report(
  "training_step",
  rows,
  [
    "64 rows of 128 tokens; tiny: C=256 L=6 NH=4 NKV=2 F=768 V=64, small: C=512 L=8 NH=8 NKV=2 F=1536 V=4096, tied heads; peer: transformers, fused AdamW, clipping.",
  ],
  versions,
);
