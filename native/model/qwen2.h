// Qwen2: the language model on a Backend, and Llama, which differs in its biases only. Forward, backward and AdamW over packed
// batches; see parameters.h for weights and decode.h for generation. Sees nothing of a device but ops/backend.h.
//
// A trainable model keeps float32 masters of all weights, and when it computes in bfloat16 rounded matrices beside them. A
// frozen bfloat16 model keeps the rounded matrices alone, and float32 vectors. What is kept where is in qwen2_memory.cpp.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/arena.h"
#include "core/job.h"
#include "model/layout.h"
#include "model/parameters.h"
#include "model/uploads.h"
#include "ops/backend.h"

namespace pk {

struct StepSettings {
  float lr;
  double beta1, beta2;
  float eps, weight_decay, grad_clip;
};
struct StepResult {
  double grad_norm;
  bool skipped;  // a non-finite gradient norm: nothing was changed, gradients were zeroed
};

struct PackedBatch {
  std::vector<int32_t> tokens;     // [N]
  std::vector<int32_t> offsets;    // [B+1]
  std::vector<int32_t> positions;  // [N] index of each token in its row
  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  int64_t rows() const { return static_cast<int64_t>(offsets.size()) - 1; }
};
PackedBatch make_packed_batch(const int32_t* tokens, int64_t n, const int32_t* offsets, int64_t rows);

class Qwen2 {
 public:
  enum class Slot { value, gradient, first_moment, second_moment };

  // moments: what AdamW's are kept in, float32 or bfloat16.
  Qwen2(Backend& backend, const ModelConfig& config, DType compute, bool recompute, bool trainable, DType moments = DType::f32);

  const ModelConfig& config() const { return config_; }
  const ParameterTable& table() const { return table_; }
  Backend& backend() { return backend_; }
  DType compute() const { return compute_; }
  HeadShape shape() const { return head_shape(config_); }

  // Weights, gradients and moments, in the backend's memory. Call weights_changed() after writing values.
  Tensor stored(const Parameter& p, Slot slot);  // where and as what a parameter is kept; allocates gradients and moments on first use
  void write(const Parameter& p, Slot slot, const float* host);
  void read(float* host, const Parameter& p, Slot slot);
  bool has(Slot slot) { return flat_of(slot).data.data != nullptr; }
  void initialize(uint64_t seed, float std);
  void copy_from(Qwen2& other);
  void weights_changed();

  // Gives all of the device's memory back: weights, moments and gradients wait in pinned memory of the host, all else is dropped (a kept forward
  // too). restore() brings them back, bit for bit, as does by itself any call that needs them. Where the backend's memory is the host's, nothing happens.
  void offload();
  void restore();
  // Gives back what is neither weight nor moment nor a gradient that is not zero: before work of another kind. Likewise nothing in the host's memory.
  void trim();

  int64_t step_count() const { return step_count_; }
  void set_step_count(int64_t steps) { step_count_ = steps; }
  void reset_optimizer();  // as before the first step

  // logprobs, entropy [R] of the scored tokens: row i's tokens from prompt_lengths[i] on, packed.
  void forward(float* logprobs, float* entropy, const PackedBatch& batch, const int32_t* prompt_lengths, float temperature, bool keep, JobContext& job);
  void logits(float* out /*[N, V]*/, const PackedBatch& batch, JobContext& job);
  // Gradients of the kept forward, accumulated; d_entropy may be null.
  void backward(const float* d_logprobs /*[R]*/, const float* d_entropy /*[R]*/, JobContext& job);
  bool has_kept_forward() const { return kept_; }
  int64_t kept_scored() const { return static_cast<int64_t>(scored_rows_.size()); }
  void zero_gradients();
  StepResult step(const StepSettings& settings);

  // Parts used by decoding too. delta [N, C] T is what the layer adds to the residual stream.
  Tensor weight(int64_t offset, int64_t rows, int64_t cols);  // a matrix, in the compute type
  void pack_weights();                                        // before many products with few rows; holds until the weights change
  void linear(Tensor out /*[N,K]*/, Tensor in /*[N,M]*/, Tensor weight /*[K,M]*/, const float* bias = nullptr /*[K]*/);
  float* vector(int64_t offset) { return values_.data.f32() + offset - (has_masters() ? 0 : table_.vectors); }
  void layer_qkv(int64_t layer, const LayerActivations& a, Tensor x, Tensor delta, const int32_t* positions);
  void layer_rest(int64_t layer, const LayerActivations& a, Tensor act, Tensor delta, JobContext* job = nullptr);
  void final_norm(Tensor normed, float* rstd, Tensor x_out, Tensor x, Tensor delta);
  Tensor embedding() { return weight(table_.embedding, config_.vocab_size, config_.hidden_size); }
  Tensor head() { return weight(table_.head, config_.vocab_size, config_.hidden_size); }
  LayerActivations take_layer(Arena& arena, int64_t n, bool inference) { return pk::take_layer(arena, config_, compute_, n, inference); }
  const float* rope_table(int64_t positions);

  Arena& cache_arena(int64_t shard);  // of the KV cache: kept from one generation to the next, as mapping it anew costs time

  // Allocated now, in the backend's memory but for the last.
  int64_t parameter_bytes() const;
  int64_t gradient_bytes() const { return gradients_.arena.bytes(); }
  int64_t moment_bytes() const { return moment1_.arena.bytes() + moment2_.arena.bytes(); }
  int64_t cache_bytes() const;
  int64_t activation_bytes() const { return kept_arena_.bytes() + work_arena_.bytes() + cache_bytes(); }
  int64_t pinned_bytes() const;

 private:
  struct Flat {
    explicit Flat(Backend& b) : arena(b) {}
    Arena arena;
    Tensor data;  // [1, n]; no data before it is first used
  };

  bool has_masters() const { return trainable_ || compute_ == DType::f32; }
  Flat& flat_of(Slot slot);
  Tensor flat(Slot slot);
  void take_cast();
  void drop_work();
  Tensor matrices();  // all of them, in their most exact form
  float* bias(int64_t offset) { return offset < 0 ? nullptr : vector(offset); }
  void send_batch(const PackedBatch& batch);
  void run_layers(const PackedBatch& batch, bool keep, JobContext& job);
  void layout(int64_t n, int64_t scored, bool keep);
  void recompute_layer(int64_t layer, JobContext& job);
  void layer_backward(int64_t layer, const LayerActivations& a);
  void backward_mlp(int64_t layer, const LayerActivations& a, JobContext& job);
  void backward_attention(int64_t layer, const LayerActivations& a, JobContext& job);

  Backend& backend_;
  ModelConfig config_;
  ParameterTable table_;
  DType compute_, moments_;
  bool recompute_, trainable_;
  bool gradients_are_zero_ = true;
  bool offloaded_ = false;
  int64_t step_count_ = 0;

  Flat values_, gradients_, moment1_, moment2_;
  Arena cast_arena_;
  Arena packed_arena_;
  std::unordered_map<const void*, Tensor> packed_;  // by the weight's place; empty when stale
  bf16* values_cast_ = nullptr;                     // [vectors] when computing in bfloat16
  Arena rope_arena_;
  int64_t rope_positions_ = 0;
  float* rope_table_ = nullptr;

  Arena kept_arena_, work_arena_;
  std::vector<std::unique_ptr<Arena>> cache_arenas_;  // one per shard of decoding
  std::vector<LayerActivations> layers_;              // one per layer, or a single shared one
  std::vector<Tensor> layer_inputs_;                  // [N, C] f32 per layer, when recomputing
  WorkTensors w_;
  PackedBatch batch_;
  struct OnBackend {
    const int32_t *tokens, *offsets, *positions;  // of batch_
    const int32_t *scored_rows, *scored_targets;
  } on_{};
  Uploads uploads_;
  std::vector<int32_t> scored_rows_;     // [R] positions whose hidden state predicts a scored token
  std::vector<int32_t> scored_targets_;  // [R]
  float temperature_ = 1.0f;
  bool kept_ = false;
};

}  // namespace pk
