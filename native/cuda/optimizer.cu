// AdamW (Loshchilov & Hutter 2019, decoupled weight decay) on flat memory, and the squared norm for clipping.
#include <algorithm>
#include <cmath>

#include "cuda/common.cuh"
#include "cuda/cuda_backend.h"

namespace pk {

namespace cuda {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kNormBlocks = 1024;

__global__ void squared_norm_kernel(double* sums, const float* values, int64_t n) {
  double sum = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += static_cast<int64_t>(gridDim.x) * kThreads)
    sum += static_cast<double>(values[i]) * values[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void total_kernel(double* total, const double* sums, int64_t count) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += sums[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *total = sum;
}

struct AdamWNumbers {
  float lr, beta1, rest1, beta2, rest2, correct1, correct2, keep, eps, grad_scale;
};

template <int n>
__global__ void adamw_kernel(float* params, bf16* params_cast, const float* grads, float* m, float* v, int64_t count, AdamWNumbers s) {
  int64_t i = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * n;
  if (i >= count) return;
  float p[n], g[n], first[n], second[n];
  load_floats(p, params + i);
  load_floats(g, grads + i);
  load_floats(first, m + i);
  load_floats(second, v + i);
  for (int k = 0; k < n; ++k) {
    float scaled = g[k] * s.grad_scale;
    first[k] = s.beta1 * first[k] + s.rest1 * scaled;
    second[k] = s.beta2 * second[k] + s.rest2 * scaled * scaled;
    p[k] = p[k] * s.keep - s.lr * (first[k] * s.correct1) / (sqrtf(second[k] * s.correct2) + s.eps);
  }
  store_floats(params + i, p);
  store_floats(m + i, first);
  store_floats(v + i, second);
  if (params_cast) store_floats(params_cast + i, p);
}

}  // namespace

}  // namespace cuda

using namespace cuda;

double CudaBackend::squared_norm(const float* values, int64_t n) {
  begin("squared_norm", n);
  if (n == 0) return 0;
  int64_t blocks = std::min(kNormBlocks, ceil_div(n, kThreads));
  double *sums = scratch_.take<double>(blocks), *device_total = scratch_.take<double>(1), total;
  launch(stream_, squared_norm_kernel, grid_of(blocks), kThreads, 0, sums, values, n);
  launch(stream_, total_kernel, 1, kThreads, 0, device_total, sums, blocks);
  read_doubles(&total, device_total, 1);
  return total;
}

void CudaBackend::adamw(float* params, bf16* params_cast, const float* grads, float* m, float* v, int64_t n, const AdamWSettings& s) {
  begin("adamw", n);
  double step = static_cast<double>(s.step);
  AdamWNumbers numbers{s.lr,
                       static_cast<float>(s.beta1),
                       static_cast<float>(1.0 - s.beta1),
                       static_cast<float>(s.beta2),
                       static_cast<float>(1.0 - s.beta2),
                       static_cast<float>(1.0 / (1.0 - std::pow(s.beta1, step))),
                       static_cast<float>(1.0 / (1.0 - std::pow(s.beta2, step))),
                       1.0f - s.lr * s.weight_decay,
                       s.eps,
                       s.grad_scale};
  uintptr_t at = reinterpret_cast<uintptr_t>(params) | reinterpret_cast<uintptr_t>(grads) | reinterpret_cast<uintptr_t>(m) | reinterpret_cast<uintptr_t>(v) |
                 2 * reinterpret_cast<uintptr_t>(params_cast);
  int64_t whole = at % 16 == 0 ? n / 4 * 4 : 0;  // biases may begin anywhere
  launch(stream_, adamw_kernel<4>, grid_of(ceil_div(whole, 4 * kThreads)), kThreads, 0, params, params_cast, grads, m, v, whole, numbers);
  launch(stream_, adamw_kernel<1>, grid_of(ceil_div(n - whole, kThreads)), kThreads, 0, params + whole, params_cast ? params_cast + whole : nullptr,
         grads + whole, m + whole, v + whole, n - whole, numbers);
}

}  // namespace pk
