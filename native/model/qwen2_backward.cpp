// Qwen2: backward and the optimizer step. Gradients have the names and shapes of the weights and accumulate until step().
#include <cmath>

#include "core/error.h"
#include "model/qwen2.h"

namespace pk {

void Qwen2::backward(const float* d_logprobs, const float* d_entropy, JobContext& job) {
  if (!trainable_) throw Error("ERR_STATE", "backward() needs a trainable model, but this one was made without.");
  if (!kept_) throw Error("ERR_STATE", "backward() needs a forward() that kept its activations since the last change of the weights.");
  kept_ = false;
  int64_t scored = static_cast<int64_t>(scored_rows_.size());
  if (scored == 0) return;
  float* gradients = flat(Slot::gradient).f32();
  int64_t c = config_.hidden_size;
  try {
    Tensor d_head(gradients + table_.head, config_.vocab_size, c);
    backend_.copy_from_host(w_.d_logprobs.data, d_logprobs, w_.d_logprobs.bytes());
    if (d_entropy) backend_.copy_from_host(w_.d_entropy.data, d_entropy, w_.d_entropy.bytes());
    backend_.linear_logprobs_backward(w_.d_scored, d_head, w_.scored_hidden, head(), on_.scored_targets, w_.lse.f32(), w_.entropy.f32(), w_.d_logprobs.f32(),
                                      d_entropy ? w_.d_entropy.f32() : nullptr, temperature_);
    job.check();
    backend_.scatter_rows(w_.d_normed, w_.d_scored, on_.scored_rows);
    backend_.zero(w_.d_x.data, w_.d_x.bytes());
    backend_.rmsnorm_backward(w_.d_x, w_.d_x_cast, gradients + table_.final_norm, w_.d_normed, w_.x_final, vector(table_.final_norm), w_.rstd_final.f32());
    for (int64_t l = config_.layers - 1; l >= 0; --l) {
      if (recompute_) recompute_layer(l, job);
      const LayerActivations& a = layers_[recompute_ ? 0 : l];
      backward_mlp(l, a, job);
      job.check();
      backward_attention(l, a, job);
      job.check();
      job.report(config_.layers - l, config_.layers);
    }
    backend_.embedding_backward(gradients + table_.embedding, w_.d_x, on_.tokens, config_.vocab_size);
  } catch (const Aborted&) {
    zero_gradients();  // half a batch's gradients are of no use to anyone
    throw;
  }
}

void Qwen2::recompute_layer(int64_t layer, JobContext& job) {
  const LayerActivations& a = layers_[0];
  layer_qkv(layer, a, layer_inputs_[layer], Tensor(), on_.positions);
  backend_.attention_forward(a.attention, a.lse.f32(), a.qkv, on_.offsets, batch_.rows(), shape());
  job.check();
  layer_rest(layer, a, w_.act, w_.delta, &job);
}

// d_x holds the gradient of the layer's output; adds what flows back through the feed-forward block.
void Qwen2::backward_mlp(int64_t layer, const LayerActivations& a, JobContext& job) {
  const LayerOffsets& at = table_.layers[layer];
  int64_t c = config_.hidden_size, f = config_.feed_forward_size;
  float* gradients = flat(Slot::gradient).f32();
  backend_.matmul(w_.d_act, w_.d_x_cast, false, weight(at.down, c, f), false, nullptr, false);
  if (at.down_bias >= 0) backend_.column_sum(gradients + at.down_bias, w_.d_x_cast);
  job.check();
  backend_.swiglu_backward(w_.d_gate_up, w_.act, w_.d_act, a.gate_up);
  if (at.gate_up_bias >= 0) backend_.column_sum(gradients + at.gate_up_bias, w_.d_gate_up);
  backend_.matmul({gradients + at.down, c, f}, w_.d_x_cast, true, w_.act, false, nullptr, true);
  job.check();
  backend_.matmul({gradients + at.gate_up, 2 * f, c}, w_.d_gate_up, true, a.normed_mid, false, nullptr, true);
  job.check();
  backend_.matmul(w_.d_normed, w_.d_gate_up, false, weight(at.gate_up, 2 * f, c), false, nullptr, false);
  backend_.rmsnorm_backward(w_.d_x, w_.d_x_cast, gradients + at.mlp_norm, w_.d_normed, a.x_mid, vector(at.mlp_norm), a.rstd_mid.f32());
}

void Qwen2::backward_attention(int64_t layer, const LayerActivations& a, JobContext& job) {
  const LayerOffsets& at = table_.layers[layer];
  int64_t c = config_.hidden_size, d = shape().q_size(), qkv = shape().qkv_size();
  float* gradients = flat(Slot::gradient).f32();
  backend_.matmul(w_.d_attention, w_.d_x_cast, false, weight(at.o, c, d), false, nullptr, false);
  backend_.matmul({gradients + at.o, c, d}, w_.d_x_cast, true, a.attention, false, nullptr, true);
  if (at.o_bias >= 0) backend_.column_sum(gradients + at.o_bias, w_.d_x_cast);
  job.check();
  backend_.attention_backward(w_.d_qkv, w_.d_attention, a.attention, a.lse.f32(), a.qkv, on_.offsets, batch_.rows(), shape());
  job.check();
  backend_.rope(w_.d_qkv, on_.positions, rope_table_, shape(), true);
  if (at.qkv_bias >= 0) backend_.column_sum(gradients + at.qkv_bias, w_.d_qkv);
  backend_.matmul({gradients + at.qkv, qkv, c}, w_.d_qkv, true, a.normed_in, false, nullptr, true);
  backend_.matmul(w_.d_normed, w_.d_qkv, false, weight(at.qkv, qkv, c), false, nullptr, false);
  backend_.rmsnorm_backward(w_.d_x, w_.d_x_cast, gradients + at.attention_norm, w_.d_normed, a.x_in, vector(at.attention_norm), a.rstd_in.f32());
}

void Qwen2::zero_gradients() {
  if (!gradients_are_zero_) backend_.zero(flat(Slot::gradient).data, 4 * table_.size);
  gradients_are_zero_ = true;
}

void Qwen2::reset_optimizer() {
  restore();
  for (Slot slot : {Slot::first_moment, Slot::second_moment}) {
    if (has(slot)) backend_.zero(flat(slot).data, flat(slot).bytes());
  }
  step_count_ = 0;
}

StepResult Qwen2::step(const StepSettings& s) {
  if (!trainable_) throw Error("ERR_STATE", "step() needs a trainable model, but this one was made without.");
  Tensor gradients = flat(Slot::gradient), first = flat(Slot::first_moment), second = flat(Slot::second_moment);
  double norm = std::sqrt(backend_.squared_norm(gradients.f32(), table_.size));
  if (!std::isfinite(norm)) {
    zero_gradients();
    return {norm, true};
  }
  float scale = s.grad_clip > 0.0f && norm > s.grad_clip ? static_cast<float>(s.grad_clip / (norm + 1e-6)) : 1.0f;
  ++step_count_;
  // All matrices, which decay, and then all vectors, which do not; what is between parameters is zero and stays so.
  auto update = [&](int64_t begin, int64_t end, bf16* cast, float weight_decay) {
    auto part = [&](Tensor all) { return Tensor(all.as<char>() + begin * dtype_size(all.dtype), all.dtype, 1, end - begin); };
    AdamWSettings settings{s.lr, s.beta1, s.beta2, s.eps, weight_decay, step_count_, scale, begin};
    backend_.adamw(values_.data.f32() + begin, cast, gradients.f32() + begin, part(first), part(second), settings);
  };
  update(0, table_.vectors, values_cast_, s.weight_decay);
  update(table_.vectors, table_.size, nullptr, 0.0f);
  zero_gradients();
  kept_ = false;
  packed_.clear();
  return {norm, false};
}

}  // namespace pk
