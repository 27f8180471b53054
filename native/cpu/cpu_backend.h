// CpuBackend: the CPU implementation of the Backend contract; one file per op family implements its members.
#pragma once
#include "ops/backend.h"

namespace pk {

class CpuBackend final : public Backend {
 public:
  std::string name() const override { return "cpu"; }
  void* allocate(int64_t bytes) override;
  void release(void* data) noexcept override;
  void zero(void* data, int64_t bytes) override;
  void copy(void* to, const void* from, int64_t bytes) override;
  void copy_from_host(void* to, const void* from, int64_t bytes) override;
  void copy_to_host(void* to, const void* from, int64_t bytes) override;

  void matmul(Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const float* bias, bool accumulate) override;
  int64_t packed_bytes(int64_t n, int64_t k) const override;
  void pack(void* packed, Tensor weight) override;
  void cast(Tensor out, Tensor in) override;
  void column_sum(float* out, Tensor in) override;
  void embedding_forward(Tensor out, const int32_t* tokens, Tensor weight) override;
  void embedding_backward(float* d_weight, Tensor d_out, const int32_t* tokens, int64_t vocab) override;
  void rmsnorm_forward(Tensor normed, float* rstd, Tensor x_out, Tensor x_in, Tensor delta, const float* weight, float eps) override;
  void rmsnorm_backward(Tensor d_x, Tensor d_x_cast, float* d_weight, Tensor d_normed, Tensor x, const float* weight, const float* rstd) override;
  void rope(Tensor qkv, const int32_t* positions, const float* table, HeadShape shape, bool inverse) override;
  void attention_forward(Tensor out, float* lse, Tensor qkv, const int32_t* offsets, int64_t rows, HeadShape shape) override;
  void attention_backward(Tensor d_qkv, Tensor d_out, Tensor out, const float* lse, Tensor qkv, const int32_t* offsets, int64_t rows, HeadShape shape) override;
  void swiglu_forward(Tensor out, Tensor gate_up) override;
  void swiglu_backward(Tensor d_gate_up, Tensor out_again, Tensor d_out, Tensor gate_up) override;
  void gather_rows(Tensor out, Tensor in, const int32_t* rows) override;
  void scatter_rows(Tensor out, Tensor in, const int32_t* rows) override;
  void token_logprobs_forward(float* logprobs, float* entropy, Tensor logits, const int32_t* targets, int64_t vocab, float temperature) override;
  void token_logprobs_backward(Tensor d_logits, Tensor logits, const int32_t* targets, const float* d_logprobs, const float* d_entropy, int64_t vocab,
                               float temperature) override;
  void linear_logprobs_forward(float* logprobs, float* entropy, float* lse, Tensor hidden, Tensor weight, const int32_t* targets, float temperature) override;
  void linear_logprobs_backward(Tensor d_hidden, Tensor d_weight, Tensor hidden, Tensor weight, const int32_t* targets, const float* lse, const float* entropy,
                                const float* d_logprobs, const float* d_entropy, float temperature) override;
  void implicit_rewards(float* rewards, float* q, float* scores, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets, int64_t rows,
                        double beta) override;
  void step_rewards(float* cumulative, float* per_step, const float* q, const int32_t* offsets, const int32_t* step_ends, const int32_t* step_offsets,
                    int64_t rows) override;
  void prime_advantages(float* advantages, float* returns, const float* process_rewards, const float* outcome_rewards, const int32_t* offsets, int64_t rows,
                        const int32_t* group_offsets, int64_t groups, const AdvantageSettings& settings) override;
  PpoResult ppo_clip_loss(float* d_logprobs, float* d_entropy, Tensor logprobs, Tensor old_logprobs, const float* advantages, const float* entropy,
                          Tensor ref_logprobs, const int32_t* offsets, int64_t rows, const PpoSettings& settings) override;
  PrmResult prm_cross_entropy_loss(float* d_logprobs, float* probabilities, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets, int64_t rows,
                                   const float* labels, double beta, double normalizer) override;
  PrmResult prm_dpo_loss(float* d_logprobs, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets, int64_t rows, const float* labels,
                         const int32_t* group_offsets, int64_t groups, const float* group_scores, double beta) override;
  double squared_norm(const float* values, int64_t n) override;
  void adamw(float* params, bf16* params_cast, const float* grads, Tensor m, Tensor v, const AdamWSettings& settings) override;
  int64_t decode_shards(int64_t slots) const override;
  void run_shards(int64_t shards, const std::function<void(int64_t shard)>& body) override;
  void decode_attention(Tensor out, Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, const int32_t* lengths, int64_t capacity,
                        HeadShape shape) override;
  void cache_fill(Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, int64_t copies, int64_t capacity, HeadShape shape) override;
  void sample(int32_t* tokens, float* logprobs, const float* logits, const uint64_t* sequence_ids, const int32_t* positions, int64_t m, int64_t vocab,
              const SampleSettings& settings) override;
};

// Which library computes matrix products ("oneDNN 2.6.3" or "portable").
std::string gemm_name();

}  // namespace pk
