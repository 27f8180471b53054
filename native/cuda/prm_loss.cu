// Losses of the implicit reward model on outcome labels: cross entropy and DPO. A row's score is beta times the sum of its
// log-ratios; every token of a row has the same gradient. One block per row.
#include "cuda/cuda_backend.h"
#include "cuda/packed_rows.cuh"

namespace pk {

namespace cuda {

namespace {

__device__ double softplus(double x) { return (x > 0 || x != x ? x : 0) + log1p(exp(-fabs(x))); }
__device__ double sigmoid(double x) { return 1 / (1 + exp(-x)); }

// Binary cross entropy of sigmoid(score) in logits form: finite wherever its true value is, and 0 at a certain and right answer.
__device__ double cross_entropy(double score, double label) {
  double right = label > 0 ? label * softplus(-score) : 0, wrong = label < 1 ? (1 - label) * softplus(score) : 0;
  return right + wrong;
}

__device__ double is_right(double score, double label) { return sign(score) == sign(2 * label - 1) ? 1.0 : 0.0; }

__device__ void fill_row(float* d_logprobs, int64_t begin, int64_t end, double value) {
  for (int64_t t = begin + threadIdx.x; t < end; t += blockDim.x) d_logprobs[t] = static_cast<float>(value);
}

// losses[row] = {loss, right or not}
template <class T>
__global__ void prm_cross_entropy_kernel(float* d_logprobs, float* probabilities, double2* losses, const T* prm, const T* ref, const int32_t* offsets,
                                         const float* labels, double beta, double divisor) {
  int64_t row = blockIdx.x, begin = offsets[row], end = offsets[row + 1];
  double score = beta * log_ratio_sum(prm, ref, begin, end), label = labels[row], probability = sigmoid(score);
  fill_row(d_logprobs, begin, end, beta * (probability - label) / divisor);
  if (threadIdx.x == 0) {
    probabilities[row] = static_cast<float>(probability);
    losses[row] = {cross_entropy(score, label), is_right(score, label)};
  }
}

template <class T>
__global__ void row_scores_kernel(double* scores, const T* prm, const T* ref, const int32_t* offsets, double beta) {
  double score = beta * log_ratio_sum(prm, ref, offsets[blockIdx.x], offsets[blockIdx.x + 1]);
  if (threadIdx.x == 0) scores[blockIdx.x] = score;
}

// A row's threshold is the mean score of its group's members with a smaller label (of a right row) or a larger one (of a
// wrong row), 0 when there are none.
__global__ void prm_dpo_kernel(float* d_logprobs, double2* losses, const double* scores, const int32_t* offsets, const float* labels,
                               const int32_t* group_offsets, int64_t groups, const float* group_scores, double beta, double divisor) {
  int64_t row = blockIdx.x, group = find_row(group_offsets, groups, row);
  float label = labels[row];
  double others = 0, number = 0;
  for (int64_t i = group_offsets[group] + threadIdx.x; i < group_offsets[group + 1]; i += blockDim.x) {
    if (!(label > 0 ? labels[i] < label : labels[i] > label)) continue;
    others += group_scores ? static_cast<double>(group_scores[i]) : scores[i];
    number += 1;
  }
  others = block_sum(others);
  number = block_sum(number);
  double threshold = number > 0 ? others / number : 0, score = scores[row], side = label > 0 ? 1 : -1;
  double margin = score == threshold ? 0 : side * (score - threshold);
  fill_row(d_logprobs, offsets[row], offsets[row + 1], -side * beta * sigmoid(-margin) / divisor);
  if (threadIdx.x == 0) losses[row] = {softplus(-margin), is_right(score, label)};
}

// out[k] = the sum over rows of values[row * width + k], by one block per k.
__global__ void column_totals_kernel(double* out, const double* values, int64_t rows, int width) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < rows; i += blockDim.x) sum += values[i * width + blockIdx.x];
  sum = block_sum(sum);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

}  // namespace

}  // namespace cuda

PrmResult CudaBackend::prm_cross_entropy_loss(float* d_logprobs, float* probabilities, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets,
                                              int64_t rows, const float* labels, double beta, double normalizer) {
  using namespace cuda;
  begin("prm_cross_entropy_loss", rows, prm_logprobs.rows);
  if (rows == 0) return {};
  double divisor = normalizer > 0 ? normalizer : static_cast<double>(rows), totals[2];
  double2* losses = scratch_.take<double2>(rows);
  double* sums = scratch_.take<double>(2);
  with_log_probs(prm_logprobs, ref_logprobs, [&](auto* prm, auto* ref) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(prm)>>;
    launch(stream_, prm_cross_entropy_kernel<T>, grid_of(rows), row_threads(prm_logprobs.rows, rows), 0, d_logprobs, probabilities, losses, prm, ref, offsets,
           labels, beta, divisor);
  });
  launch(stream_, column_totals_kernel, 2, 256, 0, sums, reinterpret_cast<double*>(losses), rows, 2);
  read_doubles(totals, sums, 2);
  return {totals[0] / divisor, totals[1] / static_cast<double>(rows)};
}

PrmResult CudaBackend::prm_dpo_loss(float* d_logprobs, Tensor prm_logprobs, Tensor ref_logprobs, const int32_t* offsets, int64_t rows, const float* labels,
                                    const int32_t* group_offsets, int64_t groups, const float* group_scores, double beta) {
  using namespace cuda;
  begin("prm_dpo_loss", rows, prm_logprobs.rows);
  if (rows == 0) return {};
  double divisor = static_cast<double>(rows), totals[2];
  double* scores = scratch_.take<double>(rows);
  double2* losses = scratch_.take<double2>(rows);
  double* sums = scratch_.take<double>(2);
  int threads = row_threads(prm_logprobs.rows, rows);
  with_log_probs(prm_logprobs, ref_logprobs, [&](auto* prm, auto* ref) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(prm)>>;
    launch(stream_, row_scores_kernel<T>, grid_of(rows), threads, 0, scores, prm, ref, offsets, beta);
  });
  launch(stream_, prm_dpo_kernel, grid_of(rows), threads, 0, d_logprobs, losses, scores, offsets, labels, group_offsets, groups, group_scores, beta, divisor);
  launch(stream_, column_totals_kernel, 2, 256, 0, sums, reinterpret_cast<double*>(losses), rows, 2);
  read_doubles(totals, sums, 2);
  return {totals[0] / divisor, totals[1] / divisor};
}

}  // namespace pk
