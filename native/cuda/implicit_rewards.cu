// Implicit process rewards: r_t = beta (log phi_t - log ref_t), their running sum, and rewards of steps. One block per row.
#include "cuda/cuda_backend.h"
#include "cuda/packed_rows.cuh"

namespace pk {

namespace cuda {

namespace {

template <class T>
__global__ void implicit_rewards_kernel(float* rewards, float* q, float* scores, const T* prm, const T* ref, const int32_t* offsets, double beta) {
  int64_t row = blockIdx.x, begin = offsets[row], end = offsets[row + 1];
  double carry = 0;
  for (int64_t t0 = begin; t0 < end; t0 += blockDim.x * kScanItems) {
    int64_t first = t0 + threadIdx.x * kScanItems;
    T a[kScanItems], b[kScanItems];  // all on their way before the first is used
    for (int k = 0; k < kScanItems; ++k) {
      a[k] = first + k < end ? prm[first + k] : T(0);
      b[k] = first + k < end ? ref[first + k] : T(0);
    }
    double sums[kScanItems], sum = 0, total;
    for (int k = 0; k < kScanItems; ++k) {
      double r = beta * difference(static_cast<double>(a[k]), static_cast<double>(b[k]));
      if (first + k < end) rewards[first + k] = static_cast<float>(r);
      sums[k] = sum += r;
    }
    double before = carry + block_exclusive_sum(sum, total);
    for (int k = 0; k < kScanItems; ++k)
      if (first + k < end) q[first + k] = static_cast<float>(before + sums[k]);
    carry += total;
  }
  if (threadIdx.x == 0) scores[row] = static_cast<float>(carry);
}

__global__ void step_rewards_kernel(float* cumulative, float* per_step, const float* q, const int32_t* offsets, const int32_t* step_ends,
                                    const int32_t* step_offsets, int64_t rows) {
  int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  float before = 0;
  for (int64_t s = step_offsets[row]; s < step_offsets[row + 1]; ++s) {
    float now = q[offsets[row] + step_ends[s]];
    cumulative[s] = now;
    per_step[s] = now == before ? 0.0f : now - before;
    before = now;
  }
}

}  // namespace

}  // namespace cuda

void CudaBackend::implicit_rewards(float* rewards, float* q, float* scores, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets, int64_t rows,
                                   double beta) {
  begin("implicit_rewards", rows, prm_logprobs.rows);
  cuda::with_log_probs(prm_logprobs, ref_logprobs, [&](auto* prm, auto* ref) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(prm)>>;
    int threads = cuda::row_threads(prm_logprobs.rows, rows);
    cuda::launch(stream_, cuda::implicit_rewards_kernel<T>, cuda::grid_of(rows), threads, 0, rewards, q, scores, prm, ref, offsets, beta);
  });
}

void CudaBackend::step_rewards(float* cumulative, float* per_step, const float* q, const int32_t* offsets, const int32_t* step_ends,
                               const int32_t* step_offsets, int64_t rows) {
  begin("step_rewards", rows);
  cuda::launch(stream_, cuda::step_rewards_kernel, cuda::grid_of(cuda::ceil_div(rows, 128)), 128, 0, cumulative, per_step, q, offsets, step_ends, step_offsets,
               rows);
}

}  // namespace pk
