// Log-probability of the target and entropy of every row of logits, in one pass, and the gradient.
// Rows are shared among the threads; with few rows (long vocabularies) the segments of a row are.
#include <algorithm>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/logprob_rows.h"
#include "cpu/scratch.h"

namespace pk {

namespace {

constexpr int64_t kPieceLogits = 32768;  // about 10 microseconds of work

template <bool with_entropy>
void all_row_sums(SoftmaxSums* sums, const float* logits, int64_t n, int64_t vocab, int64_t stride, float inverse_temperature) {
  int64_t segments = (vocab + kLogitSegment - 1) / kLogitSegment;
  if (segments == 1 || n >= 8 * threads()) {
    parallel_for(n, std::max<int64_t>(1, kPieceLogits / vocab), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sums[i] = softmax_row_sums<with_entropy>(logits + i * stride, vocab, inverse_temperature);
    });
    return;
  }
  static thread_local Scratch scratch;
  SoftmaxSums* parts = scratch.get<SoftmaxSums>(n * segments);
  parallel_for(n * segments, 2, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t at = p % segments * kLogitSegment;
      parts[p] = softmax_sums<with_entropy>(logits + p / segments * stride + at, std::min(kLogitSegment, vocab - at), inverse_temperature);
    }
  });
  for (int64_t i = 0; i < n; ++i) {
    sums[i] = SoftmaxSums{};
    for (int64_t s = 0; s < segments; ++s) sums[i].merge(parts[i * segments + s]);
  }
}

SoftmaxSums* row_sums(bool with_entropy, const float* logits, int64_t n, int64_t vocab, int64_t stride, float inverse_temperature) {
  static thread_local Scratch scratch;
  SoftmaxSums* sums = scratch.get<SoftmaxSums>(n);
  if (with_entropy)
    all_row_sums<true>(sums, logits, n, vocab, stride, inverse_temperature);
  else
    all_row_sums<false>(sums, logits, n, vocab, stride, inverse_temperature);
  return sums;
}

}  // namespace

void CpuBackend::token_logprobs_forward(float* logprobs, float* entropy, const float* logits, const int32_t* targets, int64_t n, int64_t vocab, int64_t stride,
                                        float temperature) {
  float inverse_temperature = 1.0f / temperature;
  const SoftmaxSums* sums = row_sums(entropy != nullptr, logits, n, vocab, stride, inverse_temperature);
  for (int64_t i = 0; i < n; ++i) {
    double z = static_cast<double>(logits[i * stride + targets[i]]) * inverse_temperature;
    logprobs[i] = static_cast<float>(z - sums[i].log_sum_exp());
    if (entropy) entropy[i] = static_cast<float>(sums[i].entropy());
  }
}

void CpuBackend::token_logprobs_backward(float* d_logits, const float* logits, const int32_t* targets, const float* d_logprobs, const float* d_entropy,
                                         int64_t n, int64_t vocab, int64_t stride, float temperature) {
  float inverse_temperature = 1.0f / temperature;
  // Logits [at, at + count) of row i; reads the target's logit first, as d_logits may be logits.
  auto gradient = [&](int64_t i, int64_t at, int64_t count, const SoftmaxSums& sums) {
    LogitGradient row{inverse_temperature, sums.log_sum_exp(), d_entropy ? sums.entropy() : 0, d_logprobs[i], d_entropy ? d_entropy[i] : 0};
    bool has_target = at <= targets[i] && targets[i] < at + count;
    float target_logit = has_target ? logits[i * stride + targets[i]] : 0;
    logit_gradient(d_logits + i * stride + at, logits + i * stride + at, count, row);
    if (has_target && d_logprobs[i] != 0) d_logits[i * stride + targets[i]] = target_gradient(target_logit, row);
    if (at + count == vocab) std::fill(d_logits + i * stride + vocab, d_logits + (i + 1) * stride, 0.0f);
  };
  if (vocab <= kLogitSegment || n >= 8 * threads()) {  // whole rows: the second pass finds the row in the cache
    parallel_for(n, std::max<int64_t>(1, kPieceLogits / vocab), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* row = logits + i * stride;
        gradient(i, 0, vocab, d_entropy ? softmax_row_sums<true>(row, vocab, inverse_temperature) : softmax_row_sums<false>(row, vocab, inverse_temperature));
      }
    });
    return;
  }
  const SoftmaxSums* sums = row_sums(d_entropy != nullptr, logits, n, vocab, stride, inverse_temperature);
  int64_t segments = (vocab + kLogitSegment - 1) / kLogitSegment;
  parallel_for(n * segments, 2, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t at = p % segments * kLogitSegment;
      gradient(p / segments, at, std::min(kLogitSegment, vocab - at), sums[p / segments]);
    }
  });
}

}  // namespace pk
