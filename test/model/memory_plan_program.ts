// Trains one step in a process of its own and prints how much was planned and by how much the process grew.
import { readFileSync } from "node:fs";
import { Model, pack } from "../../ts/model.ts";
import { completeConfig, toNativeConfig } from "../../ts/model_config.ts";
import { native } from "../../ts/native/addon.ts";

const sizes = { vocabSize: 2048, hiddenSize: 512, intermediateSize: 1536, numHiddenLayers: 4, numAttentionHeads: 8, numKeyValueHeads: 4 };
const tokens = 1024;
const resident = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
const train = async (model: Model, rows: Int32Array[]) => {
  await model.forwardBackward(pack(rows), ({ logprobs }) => ({ dLogprobs: logprobs.map(() => 1) }));
  await model.step({ lr: 1e-4 });
};

// What the first product of all costs (the library's own memory) is not the model's.
const warm = await Model.load({ ...sizes, numHiddenLayers: 1, hiddenSize: 64, intermediateSize: 64 }, { device: "cpu", dtype: "float32" });
await train(warm, [new Int32Array(64)]);
warm.close();
Bun.gc(true);

const before = resident();
const model = await Model.load(sizes, { device: "cpu", dtype: "float32" });
await train(
  model,
  Array.from({ length: 8 }, () => new Int32Array(tokens / 8)),
);
Bun.gc(true);
const grown = resident() - before;
const options = { device: "cpu", dtype: "float32", recompute: false, trainable: true, moments: "float32" } as const;
const work = { trainTokens: tokens, scoreTokens: 0, slots: 0, promptTokens: 0, newTokens: 0 };
const { scratch: _, ...planned } = native().planMemory(toNativeConfig(completeConfig(sizes)), options, work);
process.stdout.write(
  JSON.stringify({ planned: Object.values(planned).reduce((a, b) => a + b), grown, planned_by_kind: planned, own: model.native.memoryBytes() }),
);
model.close();
