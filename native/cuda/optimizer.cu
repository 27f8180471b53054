// AdamW on flat memory (its arithmetic is in ops/adamw.h), and the squared norm for clipping.
#include <algorithm>

#include "cuda/common.cuh"
#include "cuda/cuda_backend.h"
#include "ops/adamw.h"

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

// n elements per thread; those of bfloat16 moments are 4, a draw's, or one alone.
template <int n, class M>
__global__ void adamw_kernel(float* params, bf16* params_cast, const float* grads, M* m, M* v, int64_t count, AdamWNumbers s) {
  int64_t i = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * n;
  if (i >= count) return;
  Philox bits{};
  if (sizeof(M) == 2) bits = moment_bits(s, (s.first + i) / 4);
  float p[n], g[n], first[n], second[n];
  load_floats(p, params + i);
  load_floats(g, grads + i);
  load_floats(first, m + i);
  load_floats(second, v + i);
  Pack<M, n> rounded_first, rounded_second;
#pragma unroll
  for (int k = 0; k < n; ++k) {
    adamw_element(p[k], first[k], second[k], g[k], s);
    uint32_t own = bits[n == 4 ? k : (s.first + i) % 4];
    store_moment(rounded_first.v[k], first[k], own);
    store_moment(rounded_second.v[k], second[k], own >> 16);
  }
  store_floats(params + i, p);
  *reinterpret_cast<Pack<M, n>*>(m + i) = rounded_first;
  *reinterpret_cast<Pack<M, n>*>(v + i) = rounded_second;
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

void CudaBackend::adamw(float* params, bf16* params_cast, const float* grads, Tensor m, Tensor v, const AdamWSettings& settings) {
  int64_t n = m.size();
  begin("adamw", n);
  AdamWNumbers numbers = adamw_numbers(settings);
  dispatch(m.dtype, [&](auto* tag) {
    using M = Element<decltype(tag)>;
    auto address = [](const void* at) { return reinterpret_cast<uintptr_t>(at); };
    uintptr_t places = address(params) | address(grads) | 2 * address(params_cast) | 4 / sizeof(M) * (address(m.data) | address(v.data));
    int64_t whole = places % 16 == 0 ? n / 4 * 4 : 0;  // all of a model's memory; what a test passes may begin anywhere
    AdamWNumbers rest = numbers;
    rest.first += whole;
    launch(stream_, adamw_kernel<4, M>, grid_of(ceil_div(whole, 4 * kThreads)), kThreads, 0, params, params_cast, grads, m.as<M>(), v.as<M>(), whole, numbers);
    launch(stream_, adamw_kernel<1, M>, grid_of(ceil_div(n - whole, kThreads)), kThreads, 0, params + whole, params_cast ? params_cast + whole : nullptr,
           grads + whole, m.as<M>() + whole, v.as<M>() + whole, n - whole, rest);
  });
}

}  // namespace pk
