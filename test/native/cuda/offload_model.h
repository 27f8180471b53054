// A tiny model for the tests of offloading, and what is done with it.
#pragma once
#include <cmath>
#include <functional>
#include <memory>

#include "../harness.h"
#include "model/decode.h"
#include "model/qwen2.h"

namespace pk::test {

inline PackedBatch offload_batch() {
  std::vector<int32_t> offsets = {0, 9, 9, 21}, tokens = random_ids(21, 33, 9);
  return make_packed_batch(tokens.data(), 21, offsets.data(), 3);
}
constexpr int64_t kScored = 8 + 11;

inline std::unique_ptr<Qwen2> offload_model(Backend& on, DType type, bool trainable, DType moments = DType::f32) {
  ModelConfig config{16, 2, 4, 2, 4, 24, 33, 1e-6f, true, true, false, false, {1.0f, 0.01f}, 1.0f};
  auto model = std::make_unique<Qwen2>(on, config, type, false, trainable, moments);
  model->initialize(3, 0.2f);
  return model;
}

inline std::vector<float> forward(Qwen2& model, bool keep) {
  std::vector<float> logprobs(kScored), entropy(kScored);
  std::vector<int32_t> prompts = {1, 0, 1};
  JobContext job;
  model.forward(logprobs.data(), entropy.data(), offload_batch(), prompts.data(), 0.9f, keep, job);
  return logprobs;
}
inline std::vector<float> score(Qwen2& model) { return forward(model, false); }

inline void backward(Qwen2& model) {
  Buffer d(DType::f32, kScored, 1, 5);
  JobContext job;
  model.backward(d.f32(), nullptr, job);
}
inline std::string backward_code(Qwen2& model) {
  try {
    backward(model);
  } catch (const Error& error) {
    return error.code();
  }
  return "none";
}

// Every weight, gradient and moment that there is.
inline std::vector<float> values_of(Qwen2& model, std::vector<Qwen2::Slot> slots = {Qwen2::Slot::value}) {
  std::vector<float> all;
  for (Qwen2::Slot slot : slots)
    for (const Parameter& p : model.table().entries) {
      std::vector<float> values(static_cast<size_t>(p.size()));
      model.read(values.data(), p, slot);
      all.insert(all.end(), values.begin(), values.end());
    }
  return all;
}

// Steps of two accumulated passes each, `between` all calls but a forward and its backward; then everything that is kept.
inline std::vector<float> train_steps(Qwen2& model, int steps, const std::function<void()>& between) {
  std::vector<float> seen;
  for (int step = 0; step < steps; ++step) {
    for (int pass = 0; pass < 2; ++pass) {
      between();
      std::vector<float> logprobs = forward(model, true);
      seen.insert(seen.end(), logprobs.begin(), logprobs.end());
      backward(model);
    }
    between();  // with gradients
    model.step({1e-2f, 0.9, 0.999, 1e-8f, 0.1f, 1.0f});
    between();
  }
  forward(model, true);
  backward(model);
  between();
  using S = Qwen2::Slot;
  std::vector<float> kept = values_of(model, {S::value, S::gradient, S::first_moment, S::second_moment});
  seen.insert(seen.end(), kept.begin(), kept.end());
  return seen;
}

inline std::vector<int32_t> generate_some(Qwen2& model) {
  std::vector<int32_t> offsets = {0, 3, 8}, tokens = random_ids(8, 33, 4), all;
  GenerateSettings settings;
  settings.samples = 2;
  settings.max_new_tokens = 6;
  settings.sampling = {1.0f, 1.0f, 0, 5};
  JobContext job;
  for (const auto& sequence : generate(model, make_packed_batch(tokens.data(), 8, offsets.data(), 2), {0, 1, 2, 3}, settings, job))
    all.insert(all.end(), sequence.tokens.begin(), sequence.tokens.end());
  return all;
}

}  // namespace pk::test
