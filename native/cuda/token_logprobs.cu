// Log-probability of the target and entropy of every row of logits, in one pass, and the gradient. One block per row.
//
// Prediction for [8192 x 151936] bf16 on an H200 (132 SMs at about 1.75 GHz): 85 % of a copy bandwidth of 4.2 TB/s is 15.4 bytes,
// 7.7 logits, per SM and clock. A logit costs about nine issued lanes of the 128 (counted in SASS) and one of the 16 exponentials an SM has per clock,
// so both are about half idle and memory sets the pace; four blocks of 256 threads keep 64 KiB on their way per SM (25 are needed).
#include "cuda/cuda_backend.h"
#include "cuda/logprob_rows.cuh"

namespace pk {

namespace cuda {

namespace {

constexpr int kMostThreads = 256;
int threads_for(int64_t vocab) { return vocab <= 512 ? 32 : vocab <= 4096 ? 128 : kMostThreads; }

template <bool with_entropy, class T>
__global__ void __launch_bounds__(kMostThreads, 4)
    token_logprobs_kernel(float* logprobs, float* entropy, const T* logits, const int32_t* targets, int64_t vocab, int64_t stride, float inverse_temperature) {
  int64_t i = blockIdx.x;
  const T* row = logits + i * stride;
  SoftmaxSums sums = row_sums<with_entropy>(row, vocab, inverse_temperature);
  if (threadIdx.x != 0) return;
  logprobs[i] = static_cast<float>(static_cast<double>(to_float(row[targets[i]])) * inverse_temperature - sums.log_sum_exp(inverse_temperature));
  if (with_entropy) entropy[i] = static_cast<float>(sums.entropy());
}

template <bool with_entropy, class Out, class T>
__global__ void __launch_bounds__(kMostThreads, 4)
    token_logprobs_backward_kernel(Out* d_logits, const T* logits, const int32_t* targets, const float* d_logprobs, const float* d_entropy, int64_t vocab,
                                   int64_t d_stride, int64_t stride, float inverse_temperature) {
  int64_t i = blockIdx.x;
  const T* row = logits + i * stride;
  SoftmaxSums sums = row_sums<with_entropy>(row, vocab, inverse_temperature);
  LogitGradient gradient{inverse_temperature, sums.log_sum_exp(inverse_temperature), with_entropy ? sums.entropy() : 0, d_logprobs[i],
                         with_entropy ? d_entropy[i] : 0};
  write_logit_gradient(d_logits + i * d_stride, row, vocab, targets[i], gradient);
  for (int64_t j = vocab + threadIdx.x; j < d_stride; j += blockDim.x) d_logits[i * d_stride + j] = from_float<Out>(0);
}

template <class Out, class T>
void launch_backward(cudaStream_t stream, Tensor d_logits, Tensor logits, const int32_t* targets, const float* d_logprobs, const float* d_entropy,
                     int64_t vocab, float temperature) {
  auto kernel = d_entropy ? token_logprobs_backward_kernel<true, Out, T> : token_logprobs_backward_kernel<false, Out, T>;
  launch(stream, kernel, grid_of(logits.rows), threads_for(vocab), 0, d_logits.as<Out>(), logits.as<T>(), targets, d_logprobs, d_entropy, vocab, d_logits.cols,
         logits.cols, 1.0f / temperature);
}

}  // namespace

}  // namespace cuda

void CudaBackend::token_logprobs_forward(float* logprobs, float* entropy, Tensor logits, const int32_t* targets, int64_t vocab, float temperature) {
  using namespace cuda;
  begin("token_logprobs_forward", logits.rows, vocab);
  dispatch(logits.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    auto kernel = entropy ? token_logprobs_kernel<true, T> : token_logprobs_kernel<false, T>;
    launch(stream_, kernel, grid_of(logits.rows), threads_for(vocab), 0, logprobs, entropy, logits.as<T>(), targets, vocab, logits.cols, 1.0f / temperature);
  });
}

void CudaBackend::token_logprobs_backward(Tensor d_logits, Tensor logits, const int32_t* targets, const float* d_logprobs, const float* d_entropy,
                                          int64_t vocab, float temperature) {
  using namespace cuda;
  begin("token_logprobs_backward", logits.rows, vocab);
  dispatch(logits.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    auto run = d_logits.dtype == logits.dtype ? launch_backward<T, T> : launch_backward<float, T>;
    run(stream_, d_logits, logits, targets, d_logprobs, d_entropy, vocab, temperature);
  });
}

}  // namespace pk
