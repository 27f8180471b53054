// CudaBackend: the Backend contract on one NVIDIA GPU; one .cu file per op family implements its members. All work goes to one
// stream in the order of the calls; only what returns a number (or copies to the host) waits for it. Pointers are device memory.
#pragma once
#include <cuda_runtime.h>

#include <memory>

#include "cuda/gemm.h"
#include "cuda/scratch.h"
#include "ops/backend.h"

namespace pk {

class CudaBackend final : public Backend {
 public:
  CudaBackend();  // throws ERR_UNSUPPORTED without a driver or GPU
  ~CudaBackend() override;
  std::string name() const override { return "cuda"; }
  cudaStream_t stream() const { return stream_; }

  void* allocate(int64_t bytes) override;
  void release(void* data) noexcept override;
  void zero(void* data, int64_t bytes) override;
  void copy(void* to, const void* from, int64_t bytes) override;
  void copy_from_host(void* to, const void* from, int64_t bytes) override;
  void copy_to_host(void* to, const void* from, int64_t bytes) override;
  bool is_host() const override { return false; }
  void* allocate_pinned(int64_t bytes) override;
  void release_pinned(void* data) noexcept override;
  void start_copy_to_pinned(void* to, const void* from, int64_t bytes) override;
  void start_copy_from_pinned(void* to, const void* from, int64_t bytes) override;
  void wait() override;

  void matmul(Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const float* bias, bool accumulate) override;
  int64_t packed_bytes(int64_t, int64_t) const override { return 0; }  // cuBLASLt reads weights as they are
  void pack(void*, Tensor) override {}
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
  std::unique_ptr<Repeated> make_repeated() override;
  void decode_attention(Tensor out, Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, const int32_t* lengths, int64_t capacity,
                        HeadShape shape) override;
  void cache_fill(Tensor keys, Tensor values, Tensor qkv, const int32_t* slots, int64_t copies, int64_t capacity, HeadShape shape) override;
  void sample(int32_t* tokens, float* logprobs, const float* logits, const uint64_t* sequence_ids, const int32_t* positions, int64_t m, int64_t vocab,
              const SampleSettings& settings) override;

  cuda::Scratch& scratch() { return scratch_; }

 private:
  // Names the op for errors and gives its scratch memory; every op begins with one.
  void begin(const char* name, int64_t a = 0, int64_t b = 0, int64_t c = 0);
  // Waits for the stream and returns `count` doubles of device memory.
  void read_doubles(double* to, const double* from, int64_t count);

  cudaStream_t stream_ = nullptr, set_up_stream_ = nullptr;
  int max_shared_ = 0;  // bytes of shared memory a block may have
  cuda::Scratch scratch_;
  cuda::Gemm& gemm();  // made on first use, as loading cuBLASLt takes a while
  std::unique_ptr<cuda::Gemm> gemm_;
};

}  // namespace pk
