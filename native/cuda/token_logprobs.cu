// Log-probability of the target and entropy of every row of logits, in one pass, and the gradient. One block per row.
#include "cuda/cuda_backend.h"
#include "cuda/logprob_rows.cuh"

namespace pk {

namespace cuda {

namespace {

int threads_for(int64_t vocab) { return vocab <= 512 ? 32 : vocab <= 4096 ? 128 : 512; }

template <bool with_entropy, class T>
__global__ void __launch_bounds__(512)
    token_logprobs_kernel(float* logprobs, float* entropy, const T* logits, const int32_t* targets, int64_t vocab, int64_t stride, float inverse_temperature) {
  int64_t i = blockIdx.x;
  const T* row = logits + i * stride;
  SoftmaxSums sums = row_sums<with_entropy>(row, vocab, inverse_temperature);
  if (threadIdx.x != 0) return;
  double z = static_cast<double>(to_float(row[targets[i]])) * inverse_temperature;
  logprobs[i] = static_cast<float>(z - sums.log_sum_exp());
  if (with_entropy) entropy[i] = static_cast<float>(sums.entropy());
}

template <bool with_entropy>
__global__ void __launch_bounds__(512) token_logprobs_backward_kernel(float* d_logits, const float* logits, const int32_t* targets, const float* d_logprobs,
                                                                      const float* d_entropy, int64_t vocab, int64_t stride, float inverse_temperature) {
  int64_t i = blockIdx.x;
  const float* row = logits + i * stride;
  SoftmaxSums sums = row_sums<with_entropy>(row, vocab, inverse_temperature);
  LogitGradient gradient{inverse_temperature, sums.log_sum_exp(), with_entropy ? sums.entropy() : 0, d_logprobs[i], with_entropy ? d_entropy[i] : 0};
  write_logit_gradient(d_logits + i * stride, row, vocab, targets[i], gradient);
  for (int64_t j = vocab + threadIdx.x; j < stride; j += blockDim.x) d_logits[i * stride + j] = 0;
}

}  // namespace

}  // namespace cuda

void CudaBackend::token_logprobs_forward(float* logprobs, float* entropy, const float* logits, const int32_t* targets, int64_t n, int64_t vocab, int64_t stride,
                                         float temperature) {
  begin("token_logprobs_forward", n, vocab);
  auto kernel = entropy ? cuda::token_logprobs_kernel<true, float> : cuda::token_logprobs_kernel<false, float>;
  cuda::launch(stream_, kernel, cuda::grid_of(n), cuda::threads_for(vocab), 0, logprobs, entropy, logits, targets, vocab, stride, 1.0f / temperature);
}

void CudaBackend::token_logprobs_backward(float* d_logits, const float* logits, const int32_t* targets, const float* d_logprobs, const float* d_entropy,
                                          int64_t n, int64_t vocab, int64_t stride, float temperature) {
  begin("token_logprobs_backward", n, vocab);
  auto kernel = d_entropy ? cuda::token_logprobs_backward_kernel<true> : cuda::token_logprobs_backward_kernel<false>;
  cuda::launch(stream_, kernel, cuda::grid_of(n), cuda::threads_for(vocab), 0, d_logits, logits, targets, d_logprobs, d_entropy, vocab, stride,
               1.0f / temperature);
}

}  // namespace pk
