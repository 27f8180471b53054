// Token log-probs straight from hidden states: logits = hidden @ weight^T exist only as one chunk of tokens x vocabulary in
// float32.
#include <algorithm>

#include "core/job.h"
#include "cuda/cuda_backend.h"
#include "cuda/elementwise.cuh"
#include "cuda/logprob_rows.cuh"

namespace pk {

namespace cuda {

namespace {

// Large chunks: reading logits back from memory rather than from the second-level cache costs a tenth of the product that made them,
// but a small product loses more to its start and its end. In the backward, every chunk of tokens reads and writes the weight's gradient
// once, every chunk of the vocabulary that of the hidden states.
constexpr int64_t kForwardVocab = 8192, kForwardTokens = 4096;    // 128 MiB of logits
constexpr int64_t kBackwardVocab = 4096, kBackwardTokens = 8192;  // 128 MiB, and 64 MiB of their gradient
constexpr int64_t kWholeVocab = 8192;                             // a vocabulary up to this is one chunk
constexpr int kThreads = 256;

struct ChunkPlan {
  int64_t tokens, vocab;  // per chunk
};

ChunkPlan plan_chunks(int64_t n, int64_t v, int64_t most_tokens, int64_t most_vocab) {
  int64_t vocab = v <= kWholeVocab ? std::max<int64_t>(v, 1) : most_vocab;
  // Equal chunks, in steps of 64 rows: a small last one would be a slow product of a shape of its own.
  int64_t chunks = std::max<int64_t>(1, ceil_div(n, most_tokens));
  return {std::min(most_tokens, ceil_div(ceil_div(n, chunks), 64) * 64), vocab};
}

// body(first, count) over [0, total) in chunks; between them the job may be stopped.
template <class Body>
void for_chunks(int64_t total, int64_t chunk, const Body& body) {
  for (int64_t at = 0; at < total; at += chunk) {
    check_current_job();
    body(at, std::min(chunk, total - at));
  }
}

// Adds a chunk's logits to the sums of its tokens; logprobs holds the target's logit until the end.
template <bool with_entropy>
__global__ void chunk_sums_kernel(SoftmaxSums* sums, float* logprobs, const float* logits, const int32_t* targets, int64_t v0, int64_t v,
                                  float inverse_temperature) {
  int64_t i = blockIdx.x, target = targets[i] - v0;
  SoftmaxSums chunk = row_sums<with_entropy>(logits + i * v, v, inverse_temperature);
  if (threadIdx.x != 0) return;
  if (0 <= target && target < v) logprobs[i] = logits[i * v + target];
  sums[i] = v0 == 0 ? chunk : merged(sums[i], chunk, scale_of(inverse_temperature));
}

__global__ void finish_logprobs_kernel(float* logprobs, float* entropy, float* lse, const SoftmaxSums* sums, int64_t n, float inverse_temperature) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double log_sum = sums[i].log_sum_exp(inverse_temperature);
  logprobs[i] = static_cast<float>(static_cast<double>(logprobs[i]) * inverse_temperature - log_sum);
  lse[i] = static_cast<float>(log_sum);
  if (entropy) entropy[i] = static_cast<float>(sums[i].entropy());
}

template <class T>
__global__ void chunk_gradient_kernel(T* d_logits, const float* logits, const int32_t* targets, const float* lse, const float* entropy, const float* d_logprobs,
                                      const float* d_entropy, int64_t v0, int64_t v, float inverse_temperature) {
  int64_t i = blockIdx.x;
  LogitGradient row{inverse_temperature, lse[i], d_entropy ? entropy[i] : 0, d_logprobs[i], d_entropy ? d_entropy[i] : 0};
  write_logit_gradient(d_logits + i * v, logits + i * v, v, targets[i] - v0, row);
}

}  // namespace

}  // namespace cuda

void CudaBackend::linear_logprobs_forward(float* logprobs, float* entropy, float* lse, Tensor hidden, Tensor weight, const int32_t* targets,
                                          float temperature) {
  using namespace cuda;
  begin("linear_logprobs_forward", hidden.rows, hidden.cols, weight.rows);
  ChunkPlan plan = plan_chunks(hidden.rows, weight.rows, kForwardTokens, kForwardVocab);
  int64_t most = std::min(plan.tokens, hidden.rows);
  float inverse_temperature = 1.0f / temperature;
  float* logits = scratch_.take<float>(most * std::min(plan.vocab, weight.rows));
  SoftmaxSums* sums = scratch_.take<SoftmaxSums>(most);
  auto kernel = entropy ? chunk_sums_kernel<true> : chunk_sums_kernel<false>;
  for_chunks(hidden.rows, plan.tokens, [&](int64_t at, int64_t n) {
    for_chunks(weight.rows, plan.vocab, [&](int64_t v0, int64_t v) {
      gemm().matmul(stream_, Tensor(logits, n, v), hidden.slice_rows(at, n), false, weight.slice_rows(v0, v), true, nullptr, false);
      launch(stream_, kernel, grid_of(n), kThreads, 0, sums, logprobs + at, logits, targets + at, v0, v, inverse_temperature);
    });
    launch(stream_, finish_logprobs_kernel, grid_of(ceil_div(n, 128)), 128, 0, logprobs + at, entropy ? entropy + at : nullptr, lse + at, sums, n,
           inverse_temperature);
  });
}

void CudaBackend::linear_logprobs_backward(Tensor d_hidden, Tensor d_weight, Tensor hidden, Tensor weight, const int32_t* targets, const float* lse,
                                           const float* entropy, const float* d_logprobs, const float* d_entropy, float temperature) {
  using namespace cuda;
  begin("linear_logprobs_backward", hidden.rows, hidden.cols, weight.rows);
  ChunkPlan plan = plan_chunks(hidden.rows, weight.rows, kBackwardTokens, kBackwardVocab);
  int64_t most = std::min(plan.tokens, hidden.rows), vocab = std::min(plan.vocab, weight.rows);
  float inverse_temperature = 1.0f / temperature;
  // d_hidden is summed over the vocabulary chunks in float32; with one chunk, or a float32 output, that needs no memory.
  bool sum_apart = d_hidden.dtype != DType::f32 && weight.rows > plan.vocab, half = hidden.dtype == DType::bf16;
  float* logits = scratch_.take<float>(most * vocab);
  bf16* rounded = half ? scratch_.take<bf16>(most * vocab) : nullptr;
  float* d_hidden_sum = sum_apart ? scratch_.take<float>(most * hidden.cols) : nullptr;
  for_chunks(hidden.rows, plan.tokens, [&](int64_t at, int64_t n) {
    Tensor h = hidden.slice_rows(at, n), out = d_hidden.slice_rows(at, n);
    Tensor d_h = sum_apart ? Tensor(d_hidden_sum, n, h.cols) : out;
    for_chunks(weight.rows, plan.vocab, [&](int64_t v0, int64_t v) {
      Tensor w = weight.slice_rows(v0, v), gradient = half ? Tensor(rounded, DType::bf16, n, v) : Tensor(logits, n, v);
      gemm().matmul(stream_, Tensor(logits, n, v), h, false, w, true, nullptr, false);
      dispatch(hidden.dtype, [&](auto* tag) {
        using T = Element<decltype(tag)>;
        launch(stream_, chunk_gradient_kernel<T>, grid_of(n), kThreads, 0, gradient.as<T>(), logits, targets + at, lse + at, entropy ? entropy + at : nullptr,
               d_logprobs + at, d_entropy ? d_entropy + at : nullptr, v0, v, inverse_temperature);
      });
      gemm().matmul(stream_, d_h, gradient, false, w, false, nullptr, v0 > 0);
      gemm().matmul(stream_, d_weight.slice_rows(v0, v), gradient, true, h, false, nullptr, true);
    });
    if (sum_apart) launch_cast(stream_, out, d_h);
  });
}

}  // namespace pk
