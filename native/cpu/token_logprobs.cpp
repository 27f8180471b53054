// Log-probability of the target and entropy of every row of logits, in one pass, and the gradient.
// Rows are shared among the threads; with few rows (long vocabularies) the segments of a row are.
#include <algorithm>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/dispatch.h"
#include "cpu/logprob_rows.h"
#include "cpu/scratch.h"

namespace pk {

namespace {

constexpr int64_t kPieceLogits = 32768;  // about 10 microseconds of work

// Rows of logits `stride` elements apart, of which `vocab` count.
template <class T>
struct LogitRows {
  T* data;
  int64_t n, vocab, stride;
  LogitRows(const Tensor& tensor, int64_t vocab) : data(tensor.as<T>()), n(tensor.rows), vocab(vocab), stride(tensor.cols) {}
  T* row(int64_t i) const { return data + i * stride; }
  bool by_rows() const { return vocab <= kLogitSegment || n >= 8 * threads(); }  // a thread takes whole rows
  int64_t segments() const { return (vocab + kLogitSegment - 1) / kLogitSegment; }
};

// body(row) or, below, body(row, first, count, piece): all rows, or all segments of all rows.
template <class T, class Body>
void for_rows(const LogitRows<T>& rows, const Body& body) {
  parallel_for(rows.n, std::max<int64_t>(1, kPieceLogits / rows.vocab), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}
template <class T, class Body>
void for_segments(const LogitRows<T>& rows, const Body& body) {
  int64_t segments = rows.segments();
  parallel_for(rows.n * segments, 2, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t at = p % segments * kLogitSegment;
      body(p / segments, at, std::min(kLogitSegment, rows.vocab - at), p);
    }
  });
}

template <bool with_entropy, class T>
SoftmaxSums* all_row_sums(const LogitRows<T>& logits, float inverse_temperature) {
  static thread_local Scratch scratch, part_scratch;
  SoftmaxSums* sums = scratch.get<SoftmaxSums>(logits.n);
  if (logits.by_rows()) {
    for_rows(logits, [&](int64_t i) { sums[i] = softmax_row_sums<with_entropy>(logits.row(i), logits.vocab, inverse_temperature); });
    return sums;
  }
  int64_t segments = logits.segments();
  SoftmaxSums* parts = part_scratch.get<SoftmaxSums>(logits.n * segments);
  for_segments(logits,
               [&](int64_t i, int64_t at, int64_t count, int64_t p) { parts[p] = softmax_sums<with_entropy>(logits.row(i) + at, count, inverse_temperature); });
  for (int64_t i = 0; i < logits.n; ++i) {
    sums[i] = SoftmaxSums{};
    for (int64_t s = 0; s < segments; ++s) sums[i].merge(parts[i * segments + s]);
  }
  return sums;
}

template <class T>
void forward(float* logprobs, float* entropy, const LogitRows<T>& logits, const int32_t* targets, float inverse_temperature) {
  const SoftmaxSums* sums = entropy ? all_row_sums<true>(logits, inverse_temperature) : all_row_sums<false>(logits, inverse_temperature);
  for (int64_t i = 0; i < logits.n; ++i) {
    double z = static_cast<double>(to_float(logits.row(i)[targets[i]])) * inverse_temperature;
    logprobs[i] = static_cast<float>(z - sums[i].log_sum_exp());
    if (entropy) entropy[i] = static_cast<float>(sums[i].entropy());
  }
}

template <class Out, class T>
void backward(const LogitRows<Out>& d_logits, const LogitRows<T>& logits, const int32_t* targets, const float* d_logprobs, const float* d_entropy,
              float inverse_temperature) {
  // Logits [at, at + count) of row i; reads the target's logit first, as d_logits may be logits.
  auto gradient = [&](int64_t i, int64_t at, int64_t count, const SoftmaxSums& sums) {
    LogitGradient row{inverse_temperature, sums.log_sum_exp(), d_entropy ? sums.entropy() : 0, d_logprobs[i], d_entropy ? d_entropy[i] : 0};
    bool has_target = at <= targets[i] && targets[i] < at + count;
    float target_logit = has_target ? to_float(logits.row(i)[targets[i]]) : 0;
    Out* to = d_logits.row(i);
    logit_gradient(to + at, logits.row(i) + at, count, row);
    if (has_target && d_logprobs[i] != 0) to[targets[i]] = from_float<Out>(target_gradient(target_logit, row));
    if (at + count == logits.vocab) std::fill(to + logits.vocab, to + d_logits.stride, from_float<Out>(0));
  };
  if (logits.by_rows()) {  // the second pass finds the row in the cache
    for_rows(logits, [&](int64_t i) {
      const T* row = logits.row(i);
      gradient(i, 0, logits.vocab,
               d_entropy ? softmax_row_sums<true>(row, logits.vocab, inverse_temperature) : softmax_row_sums<false>(row, logits.vocab, inverse_temperature));
    });
    return;
  }
  const SoftmaxSums* sums = d_entropy ? all_row_sums<true>(logits, inverse_temperature) : all_row_sums<false>(logits, inverse_temperature);
  for_segments(logits, [&](int64_t i, int64_t at, int64_t count, int64_t) { gradient(i, at, count, sums[i]); });
}

}  // namespace

void CpuBackend::token_logprobs_forward(float* logprobs, float* entropy, Tensor logits, const int32_t* targets, int64_t vocab, float temperature) {
  dispatch(logits.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    forward(logprobs, entropy, LogitRows<T>(logits, vocab), targets, 1.0f / temperature);
  });
}

void CpuBackend::token_logprobs_backward(Tensor d_logits, Tensor logits, const int32_t* targets, const float* d_logprobs, const float* d_entropy, int64_t vocab,
                                         float temperature) {
  dispatch(logits.dtype, [&](auto* tag) {
    using T = Element<decltype(tag)>;
    LogitRows<T> rows(logits, vocab);
    if (d_logits.dtype == logits.dtype)
      backward(LogitRows<T>(d_logits, vocab), rows, targets, d_logprobs, d_entropy, 1.0f / temperature);
    else
      backward(LogitRows<float>(d_logits, vocab), rows, targets, d_logprobs, d_entropy, 1.0f / temperature);
  });
}

}  // namespace pk
