// Qwen2: layout and forward. Weights and memory are in qwen2_memory.cpp, the backward and the optimizer step in qwen2_backward.cpp.
#include "model/qwen2.h"

#include <algorithm>
#include <cmath>

namespace pk {

PackedBatch make_packed_batch(const int32_t* tokens, int64_t n, const int32_t* offsets, int64_t rows) {
  PackedBatch batch{{tokens, tokens + n}, {offsets, offsets + rows + 1}, std::vector<int32_t>(static_cast<size_t>(n))};
  for (int64_t r = 0; r < rows; ++r)
    for (int32_t i = offsets[r]; i < offsets[r + 1]; ++i) batch.positions[i] = i - offsets[r];
  return batch;
}

Tensor Qwen2::weight(int64_t offset, int64_t rows, int64_t cols) {
  if (values_cast_) return {values_cast_ + offset, DType::bf16, rows, cols};
  return {values_.data.f32() + offset, DType::f32, rows, cols};
}

// Copies all weights of products into the backend's favourite layout, where it has one and they are not too large.
void Qwen2::pack_weights() {
  if (!packed_.empty() || !values_cast_ || 2 * table_.vectors > kPackedLimit) return;
  std::vector<Tensor> weights{head()};
  for (const LayerOffsets& at : table_.layers) {
    int64_t c = config_.hidden_size, f = config_.feed_forward_size;
    for (Tensor w : {weight(at.qkv, shape().qkv_size(), c), weight(at.o, c, shape().q_size()), weight(at.gate_up, 2 * f, c), weight(at.down, c, f)})
      weights.push_back(w);
  }
  packed_arena_.reset();
  for (int pass = 0; pass < 2; ++pass) {
    if (pass == 1) packed_arena_.allocate();
    for (Tensor w : weights) {
      int64_t bytes = backend_.packed_bytes(w.rows, w.cols);
      if (bytes == 0) return packed_.clear();
      Tensor space = packed_arena_.take(DType::bf16, 1, (bytes + 1) / 2);
      if (pass == 0) continue;
      backend_.pack(space.data, w);
      packed_[w.data] = {space.data, DType::packed, w.rows, w.cols};
    }
  }
}

void Qwen2::linear(Tensor out, Tensor in, Tensor weight, const float* bias) {
  auto packed = packed_.find(weight.data);
  backend_.matmul(out, in, false, packed == packed_.end() ? weight : packed->second, true, bias, false);
}

const float* Qwen2::rope_table(int64_t positions) {
  if (positions > rope_positions_) {
    int64_t half = config_.head_size / 2, count = std::max<int64_t>(256, positions * 3 / 2);
    std::vector<float> host(static_cast<size_t>(count * config_.head_size));
    for (int64_t t = 0; t < count; ++t)
      for (int64_t d = 0; d < half; ++d) {
        // float32 angles, as transformers computes them
        float angle = static_cast<float>(t) * config_.rope_frequencies[static_cast<size_t>(d)];
        host[static_cast<size_t>(t * config_.head_size + d)] = static_cast<float>(std::cos(static_cast<double>(angle))) * config_.rope_scale;
        host[static_cast<size_t>(t * config_.head_size + half + d)] = static_cast<float>(std::sin(static_cast<double>(angle))) * config_.rope_scale;
      }
    rope_arena_.reset();
    rope_arena_.release();
    rope_arena_.take(DType::f32, count, config_.head_size);
    rope_arena_.allocate();
    rope_table_ = rope_arena_.take(DType::f32, count, config_.head_size).f32();
    backend_.copy_from_host(rope_table_, host.data(), static_cast<int64_t>(host.size()) * 4);
    rope_positions_ = count;
  }
  return rope_table_;
}

// --- memory layout ----------------------------------------------------------------------------------------------------

void Qwen2::layout(int64_t n, int64_t scored, bool keep) {
  PassActivations pass;
  for (int round = 0; round < 2; ++round) {
    for (Arena* arena : {&kept_arena_, &work_arena_}) round == 0 ? arena->reset() : arena->allocate();
    pass = take_pass(kept_arena_, work_arena_, config_, compute_, recompute_, n, scored, keep);
  }
  layers_ = std::move(pass.layers);
  layer_inputs_ = std::move(pass.layer_inputs);
  w_ = pass.work;
}

// --- forward ----------------------------------------------------------------------------------------------------------

// x_in = x + delta; qkv = rotated(norm(x_in) @ Wqkv^T + b)
void Qwen2::layer_qkv(int64_t layer, const LayerActivations& a, Tensor x, Tensor delta, const int32_t* positions) {
  const LayerOffsets& at = table_.layers[layer];
  int64_t c = config_.hidden_size, qkv = shape().qkv_size();
  backend_.rmsnorm_forward(a.normed_in, a.rstd_in.f32(), a.x_in, x, delta, vector(at.attention_norm), config_.rms_norm_eps);
  linear(a.qkv, a.normed_in, weight(at.qkv, qkv, c), bias(at.qkv_bias));
  backend_.rope(a.qkv, positions, rope_table_, shape(), false);
}

// x_mid = x_in + attention @ Wo^T; delta = (silu(gate) * up) @ Wdown^T of norm(x_mid); biases where the model has them
void Qwen2::layer_rest(int64_t layer, const LayerActivations& a, Tensor act, Tensor delta, JobContext* job) {
  const LayerOffsets& at = table_.layers[layer];
  int64_t c = config_.hidden_size, f = config_.feed_forward_size;
  linear(delta, a.attention, weight(at.o, c, shape().q_size()), bias(at.o_bias));
  backend_.rmsnorm_forward(a.normed_mid, a.rstd_mid.f32(), a.x_mid, a.x_in, delta, vector(at.mlp_norm), config_.rms_norm_eps);
  if (job) job->check();
  linear(a.gate_up, a.normed_mid, weight(at.gate_up, 2 * f, c), bias(at.gate_up_bias));
  if (job) job->check();
  backend_.swiglu_forward(act, a.gate_up);
  linear(delta, act, weight(at.down, c, f), bias(at.down_bias));
}

void Qwen2::final_norm(Tensor normed, float* rstd, Tensor x_out, Tensor x, Tensor delta) {
  backend_.rmsnorm_forward(normed, rstd, x_out, x, delta, vector(table_.final_norm), config_.rms_norm_eps);
}

void Qwen2::send_batch(const PackedBatch& batch) {
  uploads_.send({{batch.tokens, on_.tokens},
                 {batch.offsets, on_.offsets},
                 {batch.positions, on_.positions},
                 {scored_rows_, on_.scored_rows},
                 {scored_targets_, on_.scored_targets}});
}

void Qwen2::run_layers(const PackedBatch& batch, bool keep, JobContext& job) {
  int32_t longest = 0;
  for (int64_t r = 0; r < batch.rows(); ++r) longest = std::max(longest, batch.offsets[r + 1] - batch.offsets[r]);
  rope_table(longest);
  send_batch(batch);
  backend_.embedding_forward(layers_[0].x_in, on_.tokens, embedding());
  Tensor x = layers_[0].x_in, delta;
  for (int64_t l = 0; l < config_.layers; ++l) {
    const LayerActivations& a = layers_[layers_.size() == 1 ? 0 : l];
    layer_qkv(l, a, x, delta, on_.positions);
    if (!layer_inputs_.empty()) backend_.copy(layer_inputs_[l].data, a.x_in.data, a.x_in.bytes());
    job.check();
    backend_.attention_forward(a.attention, keep ? a.lse.f32() : nullptr, a.qkv, on_.offsets, batch.rows(), shape());
    job.check();
    layer_rest(l, a, w_.act, w_.delta, &job);
    job.check();
    x = a.x_mid;
    delta = w_.delta;
    job.report(l + 1, config_.layers);
  }
  final_norm(w_.normed_final, w_.rstd_final.f32(), w_.x_final, x, delta);
}

void Qwen2::forward(float* logprobs, float* entropy, const PackedBatch& batch, const int32_t* prompt_lengths, float temperature, bool keep, JobContext& job) {
  restore();
  kept_ = false;
  scored_rows_.clear();
  scored_targets_.clear();
  for (int64_t r = 0; r < batch.rows(); ++r)
    for (int32_t i = batch.offsets[r] + prompt_lengths[r]; i < batch.offsets[r + 1]; ++i) {
      scored_rows_.push_back(i - 1);
      scored_targets_.push_back(batch.tokens[i]);
    }
  int64_t scored = static_cast<int64_t>(scored_rows_.size());
  batch_ = batch;
  temperature_ = temperature;
  if (batch.size() > 0) {
    layout(batch.size(), scored, keep);
    run_layers(batch_, keep, job);
    backend_.gather_rows(w_.scored_hidden, w_.normed_final, on_.scored_rows);
    if (scored > 0) {
      backend_.linear_logprobs_forward(w_.logprobs.f32(), w_.entropy.f32(), w_.lse.f32(), w_.scored_hidden, head(), on_.scored_targets, temperature);
      backend_.copy_to_host(logprobs, w_.logprobs.data, w_.logprobs.bytes());
      backend_.copy_to_host(entropy, w_.entropy.data, w_.entropy.bytes());
    }
    job.check();
  }
  kept_ = keep;
}

void Qwen2::logits(float* out, const PackedBatch& batch, JobContext& job) {
  restore();
  kept_ = false;
  if (batch.size() == 0) return;
  scored_rows_.clear();
  scored_targets_.clear();
  layout(batch.size(), 0, false);
  run_layers(batch, false, job);
  Arena arena(backend_);
  arena.take(DType::f32, batch.size(), config_.vocab_size);
  arena.allocate();
  Tensor logits = arena.take(DType::f32, batch.size(), config_.vocab_size);
  linear(logits, w_.normed_final, head());
  backend_.copy_to_host(out, logits.data, logits.bytes());
}

}  // namespace pk
