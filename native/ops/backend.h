// Backend: the contract between the model, the reward kernels and a device. Every op once; native/cpu/<op>.cpp is the
// specification, native/cuda/<op>.cu does the same. All pointers and Tensors are in the backend's memory.
//
// Shape letters, here and everywhere: B sequences, N packed tokens, T positions in a sequence, C hidden size,
// F feed-forward size, V vocabulary, L layers, NH query heads, NKV key/value heads, HD head size, P prompts,
// G samples per prompt. Batches are packed: row i is [offsets[i], offsets[i+1]). "D" is NH*HD, "QKV" is (NH + 2*NKV)*HD.
//
// Argument order: outputs, inputs, weights, saved statistics, sizes. "T" beside a tensor means the activation type
// (float32 or bfloat16). "accumulates" means the output is added to; otherwise it is overwritten.
// Ops are deterministic: the same call gives the same bits, and no result depends on the number of threads by more than
// rounding. Ops do not check shapes (callers do); they throw pk::Error only for resources.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/memory.h"
#include "core/tensor.h"

namespace pk {

// How attention, RoPE and the caches see a layer.
struct HeadShape {
  int64_t heads;      // NH
  int64_t kv_heads;   // NKV
  int64_t head_size;  // HD
  constexpr int64_t q_size() const { return heads * head_size; }
  constexpr int64_t kv_size() const { return kv_heads * head_size; }
  constexpr int64_t padded_head() const { return (head_size + 31) / 32 * 32; }  // HDP: rows of the value cache
  constexpr int64_t qkv_size() const { return q_size() + 2 * kv_size(); }
};

struct AdamWSettings {
  float lr;
  double beta1, beta2;  // double, as 1 - 0.999 in float32 is off by 1e-5
  float eps, weight_decay;
  int64_t step;      // 1 for the first update (bias correction)
  float grad_scale;  // gradients are multiplied by this first (clipping)
  int64_t first;     // which of the model's elements the first one is, a multiple of 4: bfloat16 moments are rounded by it
};

struct SampleSettings {
  float temperature;  // 0 means greedy
  float top_p;        // 1 means off
  int32_t top_k;      // 0 means off
  uint64_t seed;
};

enum class Aggregate : int32_t { token_mean = 0, sequence_mean = 1, sequence_sum_mean = 2 };
enum class Baseline : int32_t { leave_one_out = 0, released = 1 };

struct AdvantageSettings {
  float gamma_process, gamma_outcome, process_coef, outcome_coef;
  Baseline baseline;
  bool normalize_process_batch;  // divide process rewards by max |reverse cumulative sum| over the batch, + 1e-6
  bool whiten;                   // over all tokens, unbiased variance, 1e-8
};

struct PpoSettings {
  float clip_low, clip_high;
  Aggregate aggregate;
  float dual_clip;     // 0 means off
  float entropy_coef;  // loss term - entropy_coef * entropy
  float kl_coef;       // loss term + kl_coef * k3(ref, new)
  double normalizer;   // divisor of the token or row sum; <= 0: the number of tokens or rows of this call
};

struct PpoResult {
  double loss, clip_fraction, approx_kl, ratio_max, kl, entropy;
};

struct PrmResult {
  double loss, accuracy;
};

// Ops that are called again and again with the same arguments (the memory behind them changes), as in decoding. A backend may record
// them at one call and run the record at later ones, which saves the cost of every single call.
class Repeated {
 public:
  virtual ~Repeated() = default;
  // True: arguments should change as rarely as possible, rows that nobody needs are better than another number of rows.
  virtual bool records() const { return false; }
  // body's ops and arguments are determined by `key`. It must not allocate, copy to or from the host, or use numbers that ops return.
  virtual void run(const std::vector<int64_t>& /*key*/, const std::function<void()>& body) { body(); }
};

class Backend : public Memory {
 public:
  virtual std::string name() const = 0;

  // --- linear algebra -----------------------------------------------------------------------------------------------
  // out[M,N] (+)= op(a) @ op(b) (+ bias[N] on every row). op transposes when asked. Types: a and b alike; out f32 or T.
  virtual void matmul(Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const float* bias, bool accumulate) = 0;
  // A copy of a bf16 weight in the layout that products with it as transposed b (nothing accumulated) read fastest; `packed` takes
  // packed_bytes, 0 where the backend has no such layout. matmul takes the result as {packed, DType::packed, N, K}.
  virtual int64_t packed_bytes(int64_t n, int64_t k) const = 0;
  virtual void pack(void* packed, Tensor weight /*[N,K] bf16*/) = 0;
  virtual void cast(Tensor out, Tensor in) = 0;                                               // f32 -> bf16 or back, same size
  virtual void column_sum(float* out /*[cols], accumulates*/, Tensor in /*[N,cols] T*/) = 0;  // bias gradients

  // --- layers (native/cpu/{embedding,rmsnorm,rope,attention,elementwise}.cpp) ------------------------------------------
  virtual void embedding_forward(Tensor out /*[N,C] f32*/, const int32_t* tokens /*[N]*/, Tensor weight /*[V,C] f32 or bf16*/) = 0;
  virtual void embedding_backward(float* d_weight /*[V,C], accumulates*/, Tensor d_out /*[N,C] f32*/, const int32_t* tokens /*[N]*/, int64_t vocab) = 0;
  // x_out = x_in (+ delta when not null); normed = x_out * rstd * weight. x_out may be x_in.
  virtual void rmsnorm_forward(Tensor normed /*[N,C] T*/, float* rstd /*[N]*/, Tensor x_out /*[N,C] f32*/, Tensor x_in /*[N,C] f32*/,
                               Tensor delta /*[N,C] T or no data*/, const float* weight /*[C]*/, float eps) = 0;
  // d_x accumulates (the residual path is already in it); d_weight accumulates. d_x_cast, when it has data, receives the new d_x.
  virtual void rmsnorm_backward(Tensor d_x /*[N,C] f32*/, Tensor d_x_cast /*[N,C] T*/, float* d_weight /*[C]*/, Tensor d_normed /*[N,C] T*/,
                                Tensor x /*[N,C] f32*/, const float* weight /*[C]*/, const float* rstd /*[N]*/) = 0;
  // Rotates q and k of qkv in place by each token's position (its index in its sequence). inverse: the backward.
  virtual void rope(Tensor qkv /*[N,QKV] T*/, const int32_t* positions /*[N]*/, const float* table /*[positions, HD]: HD/2 cosines, then HD/2 sines*/,
                    HeadShape shape, bool inverse) = 0;
  // Causal, grouped-query, within each row of the packed batch.
  virtual void attention_forward(Tensor out /*[N,D] T*/, float* lse /*[N,NH]*/, Tensor qkv /*[N,QKV] T*/, const int32_t* offsets /*[B+1]*/, int64_t rows,
                                 HeadShape shape) = 0;
  virtual void attention_backward(Tensor d_qkv /*[N,QKV] T*/, Tensor d_out /*[N,D] T*/, Tensor out /*[N,D] T*/, const float* lse /*[N,NH]*/,
                                  Tensor qkv /*[N,QKV] T*/, const int32_t* offsets /*[B+1]*/, int64_t rows, HeadShape shape) = 0;
  // gate_up holds gate in the first F columns and up in the last F.
  virtual void swiglu_forward(Tensor out /*[N,F] T*/, Tensor gate_up /*[N,2F] T*/) = 0;
  virtual void swiglu_backward(Tensor d_gate_up /*[N,2F] T, may be gate_up*/, Tensor out_again /*[N,F] T or no data: recomputed swiglu_forward*/,
                               Tensor d_out /*[N,F] T*/, Tensor gate_up /*[N,2F] T*/) = 0;
  virtual void gather_rows(Tensor out /*[R,C] T*/, Tensor in /*[N,C] T*/, const int32_t* rows /*[R]*/) = 0;
  virtual void scatter_rows(Tensor out /*[N,C] T, zeroed first*/, Tensor in /*[R,C] T*/, const int32_t* rows /*[R], distinct*/) = 0;

  // --- token log-probabilities (token_logprobs.cpp, linear_logprobs.cpp) --------------------------------------------
  // logprobs[i] = log softmax(logits[i] / temperature)[targets[i]]; entropy in nats. The first V columns of logits count, the rest is padding.
  virtual void token_logprobs_forward(float* logprobs /*[N]*/, float* entropy /*[N] or null*/, Tensor logits /*[N,>=V] f32 or bf16*/,
                                      const int32_t* targets /*[N]*/, int64_t vocab, float temperature) = 0;
  // Padding gets zeros.
  virtual void token_logprobs_backward(Tensor d_logits /*[N,>=V] f32 or as logits, may then be logits*/, Tensor logits /*[N,>=V] f32 or bf16*/,
                                       const int32_t* targets /*[N]*/, const float* d_logprobs /*[N]*/, const float* d_entropy /*[N] or null*/, int64_t vocab,
                                       float temperature) = 0;
  // The same on logits = hidden @ weight^T, which are never held: at most 64 MiB of scratch (512 on a GPU). lse [N] (of logits/temperature) is saved for the
  // backward.
  virtual void linear_logprobs_forward(float* logprobs /*[N]*/, float* entropy /*[N] or null*/, float* lse /*[N]*/, Tensor hidden /*[N,C] T*/,
                                       Tensor weight /*[V,C] T*/, const int32_t* targets /*[N]*/, float temperature) = 0;
  // d_hidden is overwritten (T or f32), d_weight (f32) accumulates. entropy [N] is needed only with d_entropy.
  virtual void linear_logprobs_backward(Tensor d_hidden /*[N,C]*/, Tensor d_weight /*[V,C] f32*/, Tensor hidden /*[N,C] T*/, Tensor weight /*[V,C] T*/,
                                        const int32_t* targets /*[N]*/, const float* lse /*[N]*/, const float* entropy /*[N] or null*/,
                                        const float* d_logprobs /*[N]*/, const float* d_entropy /*[N] or null*/, float temperature) = 0;

  // --- rewards, advantages, losses (implicit_rewards.cpp, prime_advantages.cpp, ppo_clip_loss.cpp, prm_loss.cpp) ---
  // Log-prob Tensors are [N,1], float32 or float64. Sums run in float64.
  virtual void implicit_rewards(float* rewards /*[N]*/, float* q /*[N]*/, float* scores /*[B]*/, Tensor prm_logprobs, Tensor ref_logprobs,
                                const int32_t* offsets /*[B+1]*/, int64_t rows, double beta) = 0;
  virtual void step_rewards(float* cumulative /*[S]*/, float* per_step /*[S]*/, const float* q /*[N]*/, const int32_t* offsets /*[B+1]*/,
                            const int32_t* step_ends /*[S]*/, const int32_t* step_offsets /*[B+1]*/, int64_t rows) = 0;
  virtual void prime_advantages(float* advantages /*[N]*/, float* returns /*[N]*/, const float* process_rewards /*[N] or null*/,
                                const float* outcome_rewards /*[B] or null*/, const int32_t* offsets /*[B+1]*/, int64_t rows,
                                const int32_t* group_offsets /*[P+1]*/, int64_t groups, const AdvantageSettings& settings) = 0;
  // d_entropy receives the gradient of the entropy term when entropy is given.
  virtual PpoResult ppo_clip_loss(float* d_logprobs /*[N]*/, float* d_entropy /*[N] or null*/, Tensor logprobs, Tensor old_logprobs,
                                  const float* advantages /*[N]*/, const float* entropy /*[N] or null*/, Tensor ref_logprobs /*or no data*/,
                                  const int32_t* offsets /*[B+1]*/, int64_t rows, const PpoSettings& settings) = 0;
  virtual PrmResult prm_cross_entropy_loss(float* d_logprobs /*[N]*/, float* probabilities /*[B]*/, Tensor prm_logprobs, Tensor ref_logprobs,
                                           const int32_t* offsets /*[B+1]*/, int64_t rows, const float* labels /*[B]*/, double beta,
                                           double normalizer /*<= 0: B*/) = 0;
  virtual PrmResult prm_dpo_loss(float* d_logprobs /*[N]*/, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets /*[B+1]*/, int64_t rows,
                                 const float* labels /*[B]*/, const int32_t* group_offsets /*[P+1]*/, int64_t groups, const float* group_scores /*[B] or null*/,
                                 double beta) = 0;

  // --- optimizer (optimizer.cpp) ------------------------------------------------------------------------------------
  virtual double squared_norm(const float* values, int64_t n) = 0;  // float64 sum, non-finite values propagate
  // One step of n = m.size() parameters, all with the same weight decay. Moments are both float32 or both bfloat16 (ops/adamw.h).
  virtual void adamw(float* params, bf16* params_cast /*or null*/, const float* grads, Tensor m /*[1,n]*/, Tensor v /*[1,n]*/,
                     const AdamWSettings& settings) = 0;

  // --- decoding (decode_attention.cpp, sample.cpp) ------------------------------------------------------------------
  // How many independent batches `slots` sequences are best decoded in, and the running of that many at once: ops called by a body run
  // on its share of the threads. The first error is thrown when all bodies have ended.
  virtual int64_t decode_shards(int64_t /*slots*/) const { return 1; }
  virtual void run_shards(int64_t /*shards*/, const std::function<void(int64_t shard)>& body) { body(0); }
  virtual std::unique_ptr<Repeated> make_repeated() { return std::make_unique<Repeated>(); }
  // One layer's cache: slots x NKV heads, each capacity x HD keys and capacity x HDP values of type T, laid out as the backend
  // likes; capacity is a multiple of 16. Appends k and v of qkv (rotated) at lengths[i], then attends over lengths[i] + 1 entries.
  virtual void decode_attention(Tensor out /*[M,D] T*/, Tensor keys, Tensor values, Tensor qkv /*[M,QKV] T*/, const int32_t* slots /*[M]*/,
                                const int32_t* lengths /*[M]*/, int64_t capacity, HeadShape shape) = 0;
  // Copies k and v of a packed prefill row into `copies` slots, at positions 0..length-1.
  virtual void cache_fill(Tensor keys, Tensor values, Tensor qkv /*[length,QKV] T*/, const int32_t* slots /*[copies]*/, int64_t copies, int64_t capacity,
                          HeadShape shape) = 0;
  // logprobs are those of the full distribution at `temperature` (at 1 when greedy), whatever top-p and top-k cut off.
  virtual void sample(int32_t* tokens /*[M]*/, float* logprobs /*[M]*/, const float* logits /*[M,V]*/, const uint64_t* sequence_ids /*[M]*/,
                      const int32_t* positions /*[M]*/, int64_t m, int64_t vocab, const SampleSettings& settings) = 0;
};

std::unique_ptr<Backend> make_cpu_backend();
std::unique_ptr<Backend> make_cuda_backend();  // ERR_UNSUPPORTED without a driver or GPU; only in builds with CUDA

}  // namespace pk
