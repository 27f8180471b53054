// PRIME's advantages: per source a leave-one-out baseline within the group, reverse discounted sums, both sources added,
// whitened over all tokens. One block per row; the returns are computed twice in float64 rather than kept.
#include "cuda/cuda_backend.h"
#include "cuda/packed_rows.cuh"

namespace pk {

namespace cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kTile = kThreads * kScanItems;

// Per row: what turns raw rewards into shaped ones.
struct RowShape {
  double mean;      // token mean of the process rewards, 0 for an empty row
  double scale;     // process rewards are multiplied by this,
  double baseline;  // and this is subtracted
  double outcome;   // shaped outcome reward, given at the last token
};
struct Whitening {
  double mean, factor;
};

// Powers of the two discounts that suffix sums of a tile need, the thread's own among them.
struct Decay {
  double gamma;
  double thread;        // gamma^kScanItems: from one thread to the next
  double warp, tile;    // from one warp to the next, from one tile to the next
  double to_warp;       // from this thread's end to its warp's end
  double to_tile;       // from this thread's end to the tile's end
  double outcome;       // the outcome's gamma
  double outcome_last;  // its power by the distance of this thread's last token from the tile's last
  double outcome_tile;

  __device__ Decay(double process_gamma, double outcome_gamma) : gamma(process_gamma), outcome(outcome_gamma) {
    int lane = threadIdx.x % kWarp, tokens_after = kTile - (static_cast<int>(threadIdx.x) + 1) * kScanItems;
    thread = power(gamma, kScanItems);
    warp = power(thread, kWarp);
    tile = power(gamma, kTile);
    to_warp = power(thread, kWarp - 1 - lane);
    to_tile = power(gamma, tokens_after);
    outcome_last = power(outcome, tokens_after);
    outcome_tile = power(outcome, kTile);
  }

  // By squaring: pow() in float64, seven times a thread, would take longer than all the rest.
  __device__ static double power(double base, int exponent) {
    double result = 1;
    for (; exponent > 0; exponent /= 2, base *= base)
      if (exponent % 2) result *= base;
    return result;
  }
};

// sum over the threads i after this one of decay^(i - this - 1) value_i; `total` is that over all threads from the first one on.
__device__ double discounted_sum_after(double value, const Decay& d, double& total) {
  __shared__ double parts[kThreads / kWarp];
  int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  double sum = value, power = d.thread;
  for (int by = 1; by < kWarp; by *= 2) {
    double above = __shfl_down_sync(kAllLanes, sum, by);
    if (lane + by < kWarp) sum += power * above;
    power *= power;
  }
  __syncthreads();  // of an earlier call's reads
  if (lane == 0) parts[warp] = sum;
  __syncthreads();
  double after = __shfl_down_sync(kAllLanes, sum, 1);
  if (lane == kWarp - 1) after = 0;
  double warps_after = 0;
  total = 0;
  for (int i = kThreads / kWarp - 1; i >= 0; --i) {
    if (i == warp) warps_after = total;
    total = parts[i] + d.warp * total;
  }
  return after + d.to_warp * warps_after;
}

// G_t = sum over s >= t of gamma^(s-t) (scale x_s - baseline) + outcome_gamma^(n-1-t) outcome; x may be null (no process rewards).
// sink(t, G_t), tile by tile from the last token on.
template <class Sink>
__device__ void scan_returns(const float* x, int64_t n, double scale, double baseline, double outcome, const Decay& d, const Sink& sink) {
  double carry = 0;
  for (int64_t tile_begin = n - kTile; tile_begin > -kTile; tile_begin -= kTile) {
    int64_t first = tile_begin + threadIdx.x * kScanItems;
    double shaped[kScanItems], sum = 0, total;
    for (int k = kScanItems - 1; k >= 0; --k) {
      shaped[k] = x && first + k >= 0 ? static_cast<double>(x[first + k]) * scale - baseline : 0;
      sum = shaped[k] + d.gamma * sum;
    }
    double g = discounted_sum_after(sum, d, total) + d.to_tile * carry, reward = outcome * d.outcome_last;
    for (int k = kScanItems - 1; k >= 0; --k) {
      g = shaped[k] + d.gamma * g;
      if (first + k >= 0) sink(first + k, g + reward);
      reward *= d.outcome;
    }
    carry = total + d.tile * carry;
    outcome *= d.outcome_tile;
  }
}

// The kernels that read all rewards take the rows in turns from the last and from the first on: what one read last, the next finds in
// the GPU's second-level cache.
__global__ void row_means_kernel(RowShape* shapes, const float* process, const int32_t* offsets) {
  int64_t row = gridDim.x - 1 - blockIdx.x, begin = offsets[row], end = offsets[row + 1];
  double sum = 0;
  for (int64_t t = begin + threadIdx.x; process && t < end; t += blockDim.x) sum += process[t];
  sum = block_sum(sum);
  if (threadIdx.x == 0) shapes[row].mean = end > begin ? sum / static_cast<double>(end - begin) : 0;
}

// Largest |sum over s >= t of x_s| of every row.
__global__ void largest_suffix_sums_kernel(double* sizes, const float* process, const int32_t* offsets) {
  int64_t row = blockIdx.x, begin = offsets[row];
  double most = 0;
  scan_returns(process + begin, offsets[row + 1] - begin, 1, 0, 0, Decay(1, 1), [&](int64_t, double g) { most = fabs(g) > most ? fabs(g) : most; });
  most = block_reduce(most, Max());
  if (threadIdx.x == 0) sizes[row] = most;
}

// What process rewards are multiplied by, one number for the batch.
__global__ void process_scale_kernel(double* scale, const double* sizes, int64_t rows, double coef) {
  double most = 0;
  for (int64_t i = threadIdx.x; i < rows; i += blockDim.x) most = sizes[i] > most ? sizes[i] : most;
  most = block_reduce(most, Max());
  if (threadIdx.x == 0) *scale = coef / (most + 1e-6);
}

// Baselines of one group of rows per warp.
__global__ void shape_groups_kernel(RowShape* shapes, const float* outcomes, const int32_t* group_offsets, int64_t groups, const double* norm_scale,
                                    AdvantageSettings settings) {
  int64_t group = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  if (group >= groups) return;
  int64_t begin = group_offsets[group], end = group_offsets[group + 1];
  double scale = norm_scale ? *norm_scale : settings.process_coef, means = 0, outcome_sum = 0, others = static_cast<double>(end - begin - 1);
  bool released = settings.baseline == Baseline::released;
  int lane = threadIdx.x % kWarp;
  for (int64_t i = begin + lane; i < end; i += kWarp) {
    means += shapes[i].mean;
    if (outcomes) outcome_sum += outcomes[i];
  }
  means = warp_reduce(means, Sum());
  outcome_sum = warp_reduce(outcome_sum, Sum());
  for (int64_t i = begin + lane; i < end; i += kWarp) {
    // released: n/(n-1) (x - group mean) = n/(n-1) x - sum of means / (n-1)
    RowShape& row = shapes[i];
    row.scale = released ? scale * (others + 1) / others : scale;
    row.baseline = scale * (released ? means : means - row.mean) / others;
    row.outcome = outcomes ? settings.outcome_coef * (outcomes[i] - (outcome_sum - outcomes[i]) / others) : 0;
  }
}

// sums[row] = {sum, sum of squares} of the row's returns.
__global__ void __launch_bounds__(kThreads, 4)
    return_sums_kernel(double2* sums, const RowShape* shapes, const float* process, const int32_t* offsets, double gamma, double outcome_gamma) {
  int64_t row = blockIdx.x, begin = offsets[row];
  RowShape shape = shapes[row];
  double total = 0, squares = 0;
  scan_returns(process ? process + begin : nullptr, offsets[row + 1] - begin, shape.scale, shape.baseline, shape.outcome, Decay(gamma, outcome_gamma),
               [&](int64_t, double g) {
                 total += g;
                 squares += g * g;
               });
  total = block_sum(total);
  squares = block_sum(squares);
  if (threadIdx.x == 0) sums[row] = {total, squares};
}

// (G - mean) / sqrt(unbiased variance + 1e-8) over all tokens; a single token has no variance. NaN stays NaN.
__global__ void whitening_kernel(Whitening* white, const double2* sums, const int32_t* offsets, int64_t rows) {
  double total = 0, squares = 0, n = offsets[rows];
  for (int64_t i = threadIdx.x; i < rows; i += blockDim.x) {
    total += sums[i].x;
    squares += sums[i].y;
  }
  total = block_sum(total);
  squares = block_sum(squares);
  double mean = n > 0 ? total / n : 0, deviation = squares - total * mean;
  double variance = n > 1 ? (deviation < 0 ? 0 : deviation) / (n - 1) : 0;
  if (threadIdx.x == 0) *white = {mean, 1 / sqrt(variance + 1e-8)};
}

__global__ void __launch_bounds__(kThreads, 4) advantages_kernel(float* advantages, float* returns, const RowShape* shapes, const Whitening* white,
                                                                 const float* process, const int32_t* offsets, double gamma, double outcome_gamma) {
  int64_t row = gridDim.x - 1 - blockIdx.x, begin = offsets[row];
  RowShape shape = shapes[row];
  Whitening w = white ? *white : Whitening{0, 1};
  scan_returns(process ? process + begin : nullptr, offsets[row + 1] - begin, shape.scale, shape.baseline, shape.outcome, Decay(gamma, outcome_gamma),
               [&](int64_t t, double g) {
                 returns[begin + t] = static_cast<float>(g);
                 advantages[begin + t] = static_cast<float>((g - w.mean) * w.factor);
               });
}

}  // namespace

}  // namespace cuda

void CudaBackend::prime_advantages(float* advantages, float* returns, const float* process_rewards, const float* outcome_rewards, const int32_t* offsets,
                                   int64_t rows, const int32_t* group_offsets, int64_t groups, const AdvantageSettings& settings) {
  using namespace cuda;
  begin("prime_advantages", rows, groups);
  if (rows == 0) return;
  const float* process = settings.process_coef == 0 ? nullptr : process_rewards;  // a source with weight 0 may hold anything
  const float* outcomes = settings.outcome_coef == 0 ? nullptr : outcome_rewards;
  RowShape* shapes = scratch_.take<RowShape>(rows);
  double* scale = nullptr;
  launch(stream_, row_means_kernel, grid_of(rows), kThreads, 0, shapes, process, offsets);
  if (process && settings.normalize_process_batch) {
    double* sizes = scratch_.take<double>(rows);
    scale = scratch_.take<double>(1);
    launch(stream_, largest_suffix_sums_kernel, grid_of(rows), kThreads, 0, sizes, process, offsets);
    launch(stream_, process_scale_kernel, 1, kThreads, 0, scale, sizes, rows, static_cast<double>(settings.process_coef));
  }
  launch(stream_, shape_groups_kernel, grid_of(ceil_div(groups * kWarp, 128)), 128, 0, shapes, outcomes, group_offsets, groups, scale, settings);
  double gamma = settings.gamma_process, outcome_gamma = settings.gamma_outcome;
  Whitening* white = nullptr;
  if (settings.whiten) {
    double2* sums = scratch_.take<double2>(rows);
    white = scratch_.take<Whitening>(1);
    launch(stream_, return_sums_kernel, grid_of(rows), kThreads, 0, sums, shapes, process, offsets, gamma, outcome_gamma);
    launch(stream_, whitening_kernel, 1, kThreads, 0, white, sums, offsets, rows);
  }
  launch(stream_, advantages_kernel, grid_of(rows), kThreads, 0, advantages, returns, shapes, white, process, offsets, gamma, outcome_gamma);
}

}  // namespace pk
