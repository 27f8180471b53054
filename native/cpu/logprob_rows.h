// Log-sum-exp, entropy and their gradient of one row of logits: what token_logprobs and linear_logprobs share.
#pragma once
#include <cmath>
#include <cstdint>

#include "cpu/simd.h"

namespace pk {

// Sums over some logits z (already divided by the temperature), relative to `reference`, which is within e^30 of their maximum.
struct SoftmaxSums {
  float reference = -std::numeric_limits<float>::max();
  double mass = 0;    // sum of e^(z - reference)
  double weight = 0;  // sum of e^(z - reference) * (z - reference)

  // Order matters for the last bit, so callers merge from left to right.
  void merge(const SoftmaxSums& other) {
    if (other.reference > reference || std::isnan(other.mass)) {
      rescale(other.reference);
      mass += other.mass;
      weight += other.weight;
    } else {
      SoftmaxSums moved = other;
      moved.rescale(reference);
      mass += moved.mass;
      weight += moved.weight;
    }
  }
  void rescale(float to) {
    double shift = static_cast<double>(reference) - static_cast<double>(to), factor = std::exp(shift);
    weight = mass == 0 || factor == 0 ? 0 : factor * (weight + mass * shift);
    mass = mass == 0 || factor == 0 ? 0 : factor * mass;
    reference = to;
  }
  // NaN when every logit was -Inf: there is no distribution then.
  double log_sum_exp() const { return empty() ? std::nan("") : static_cast<double>(reference) + std::log(mass); }
  double entropy() const {
    double nats = empty() ? std::nan("") : std::log(mass) - weight / mass;
    return nats < 1e-30 ? 0 : nats;  // never below 0 by rounding; NaN stays
  }
  bool empty() const { return reference == -std::numeric_limits<float>::max(); }
};

inline constexpr int64_t kLogitSegment = 16384;  // logits per piece of work: rows are cut the same way whatever the threads

// The sums of count <= kLogitSegment logits, float or bf16. -Inf logits have probability 0; NaN or +Inf make the sums NaN.
template <bool with_entropy, class T>
SoftmaxSums softmax_sums(const T* logits, int64_t count, float inverse_temperature);

// The same of ordinary bfloat16 logits, faster (logprob_rows_half.cpp). False, and nothing done, where it is not made for them: a
// block that begins the row is all -Inf, or logits are beyond 1e30.
template <bool with_entropy>
bool half_softmax_sums(SoftmaxSums& sums, const bf16* logits, int64_t count, float inverse_temperature);

// The sums of a whole row, segment by segment.
template <bool with_entropy, class T>
SoftmaxSums softmax_row_sums(const T* logits, int64_t count, float inverse_temperature) {
  SoftmaxSums sums;
  for (int64_t at = 0; at < count; at += kLogitSegment) {
    int64_t n = count - at < kLogitSegment ? count - at : kLogitSegment;
    sums.merge(softmax_sums<with_entropy>(logits + at, n, inverse_temperature));
  }
  return sums;
}

// What the gradient of one row needs besides its logits.
struct LogitGradient {
  float inverse_temperature;
  double log_sum_exp;
  double entropy;
  float d_logprob;
  float d_entropy;
};

// d_logits[j] = (-p_j (d_logprob + d_entropy (log p_j + entropy))) / temperature: all but the target's own d_logprob / temperature,
// which the caller adds. Out and In are float or bf16; d_logits may be logits. A row with no incoming gradient gets zeros whatever its logits.
template <class Out, class In>
void logit_gradient(Out* d_logits, const In* logits, int64_t count, const LogitGradient& row);

// The target's element of d_logits, both parts.
inline float target_gradient(float logit, const LogitGradient& row) {
  double log_p = static_cast<double>(logit) * row.inverse_temperature - row.log_sum_exp, p = std::exp(log_p);
  double entropy_part = p == 0 || row.d_entropy == 0 ? 0 : row.d_entropy * p * (log_p + row.entropy);
  return static_cast<float>((row.d_logprob * (1 - p) - entropy_part) * row.inverse_temperature);
}

}  // namespace pk
