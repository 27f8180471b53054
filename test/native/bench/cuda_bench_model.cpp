// Whole models of Qwen2.5's shapes on the CUDA backend: a training step, and generation. Weights are random.
#include <cmath>

#include "bench.h"
#include "model/decode.h"
#include "model/qwen2.h"

namespace pk::bench {

namespace {

ModelConfig qwen(bool large) {
  ModelConfig config = large ? ModelConfig{1536, 28, 12, 2, 128, 8960, 151936, 1e-6f, true, true, false, false, {}, 1.0f}
                             : ModelConfig{896, 24, 14, 2, 64, 4864, 151936, 1e-6f, true, true, false, false, {}, 1.0f};
  if (size_divisor() > 1) config = {128, 2, 2, 1, 64, 256, 2374, 1e-6f, true, true, false, false, {}, 1.0f};
  for (int64_t d = 0; d < config.head_size / 2; ++d)
    config.rope_frequencies.push_back(static_cast<float>(std::pow(1e6, -2.0 * static_cast<double>(d) / static_cast<double>(config.head_size))));
  return config;
}

void fill(Bench& b, Qwen2& model) {
  for (const Parameter& p : model.table().entries) {
    Tensor values = model.stored(p, Qwen2::Slot::value);
    if (p.matrix) {
      b.fill(values, 0.03f);
    } else if (p.name.ends_with("norm.weight")) {
      std::vector<float> ones(static_cast<size_t>(p.size()), 1.0f);
      model.write(p, Qwen2::Slot::value, ones.data());
    }
  }
  model.weights_changed();
}

// Operations of a training step: 6 per weight of the products and token, and attention's, causal, forward and twice that backward.
double step_operations(const Qwen2& model, int64_t tokens, int64_t length) {
  const ModelConfig& c = model.config();
  double attention = 6.0 * static_cast<double>(length) * static_cast<double>(c.heads * c.head_size * c.layers);
  return static_cast<double>(tokens) * (6.0 * static_cast<double>(model.table().vectors) + attention);
}

}  // namespace

void training(Bench& b, bool large) {
  int64_t rows = 16, length = size_divisor() > 1 ? 16 : 1024, n = rows * length;
  Qwen2 model(b.on, qwen(large), DType::bf16, false, true);
  fill(b, model);
  std::vector<int32_t> tokens = ids(n, model.config().vocab_size), offsets = even_rows(rows, length), prompts(static_cast<size_t>(rows), 1);
  PackedBatch batch = make_packed_batch(tokens.data(), n, offsets.data(), rows);
  std::vector<float> logprobs(static_cast<size_t>(n - rows)), entropy(logprobs.size()), d(logprobs.size(), -1.0f / static_cast<float>(n));
  JobContext job;
  auto step = [&] {
    model.forward(logprobs.data(), entropy.data(), batch, prompts.data(), 1.0f, true, job);
    model.backward(d.data(), nullptr, job);
    model.step({1e-6f, 0.9, 0.999, 1e-8f, 0.01f, 1.0f});
  };
  b.seconds_of(step, 2);  // memory is taken, products get their algorithms
  double best = b.seconds_of(step, 1);
  for (int i = 0; i < 5; ++i) best = std::min(best, b.seconds_of(step, 1));
  b.report.line({large ? "train_1.5b" : "train_0.5b", std::string("training step, Qwen2.5-") + (large ? "1.5B" : "0.5B") + ", 16 rows of 1024", 0,
                 step_operations(model, n, length), static_cast<double>(n)},
                best);
}

void decoding(Bench& b) {
  int64_t sequences = size_divisor() > 1 ? 4 : 256, prompt = 64, fresh = size_divisor() > 1 ? 4 : 256;
  Qwen2 model(b.on, qwen(false), DType::bf16, false, false);
  fill(b, model);
  std::vector<int32_t> tokens = ids(sequences * prompt, model.config().vocab_size), offsets = even_rows(sequences, prompt);
  PackedBatch prompts = make_packed_batch(tokens.data(), sequences * prompt, offsets.data(), sequences);
  std::vector<uint64_t> names;
  for (int64_t i = 0; i < sequences; ++i) names.push_back(static_cast<uint64_t>(i));
  GenerateSettings settings;
  settings.max_new_tokens = fresh;
  settings.max_batch = sequences;
  settings.sampling = {1.0f, 1.0f, 0, 7};
  JobContext job;
  int64_t drawn = 0;
  auto run = [&] {
    drawn = 0;
    for (const GeneratedSequence& sequence : generate(model, prompts, names, settings, job)) drawn += static_cast<int64_t>(sequence.tokens.size());
  };
  double best = b.seconds_of(run, 1);
  for (int i = 0; i < 3; ++i) best = std::min(best, b.seconds_of(run, 1));
  b.report.line({"decode", "generation, 0.5B, 256 sequences, 64 + 256 tokens", 0, 0, static_cast<double>(drawn)}, best);
}

}  // namespace pk::bench
