// What the reward and loss kernels share: one block per row of a packed batch, scans and sums in float64, totals over all rows.
#pragma once
#include "cuda/common.cuh"

namespace pk::cuda {

constexpr int kScanItems = 4;  // consecutive tokens of one thread

// Calls body with a typed pointer to each log-prob array: float32 or float64, both alike.
template <class Body>
void with_log_probs(const Tensor& a, const Tensor& b, const Body& body) {
  if (a.dtype == DType::f64)
    body(a.as<const double>(), b.as<const double>());
  else
    body(a.as<const float>(), b.as<const float>());
}

// Threads for one row when `tokens` are shared by `rows` rows: few for short rows, so that most have work.
inline int row_threads(int64_t tokens, int64_t rows) {
  int64_t mean = tokens / (rows > 0 ? rows : 1);
  return mean <= 32 * kScanItems ? 32 : mean <= 512 ? 128 : 256;
}

// The sum of `value` over the threads before this one; `total` is that over all.
__device__ inline double block_exclusive_sum(double value, double& total) {
  __shared__ double parts[kWarp];
  int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  double inclusive = value;
  for (int by = 1; by < kWarp; by *= 2) {
    double below = __shfl_up_sync(kAllLanes, inclusive, by);
    if (lane >= by) inclusive += below;
  }
  __syncthreads();  // of an earlier call's reads
  if (lane == kWarp - 1) parts[warp] = inclusive;
  __syncthreads();
  double before = __shfl_up_sync(kAllLanes, inclusive, 1);
  if (lane == 0) before = 0;
  total = 0;
  double warps_before = 0;
  for (int i = 0; i < warps; ++i) {
    if (i == warp) warps_before = total;
    total += parts[i];
  }
  return warps_before + before;
}

// The block's sum of a[t] - b[t] over [begin, end).
template <class T>
__device__ double log_ratio_sum(const T* a, const T* b, int64_t begin, int64_t end) {
  double sum = 0;
  for (int64_t t = begin + threadIdx.x; t < end; t += blockDim.x) sum += difference(static_cast<double>(a[t]), static_cast<double>(b[t]));
  return block_sum(sum);
}

__device__ inline int sign(double x) { return (x > 0) - (x < 0); }

// The group (or row) that index i lies in: the last p with offsets[p] <= i.
__device__ inline int64_t find_row(const int32_t* offsets, int64_t rows, int64_t i) {
  int64_t low = 0, high = rows;
  while (high - low > 1) {
    int64_t middle = (low + high) / 2;
    if (offsets[middle] <= i)
      low = middle;
    else
      high = middle;
  }
  return low;
}

}  // namespace pk::cuda
