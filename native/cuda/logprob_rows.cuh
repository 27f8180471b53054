// Log-sum-exp, entropy and their gradient of one row of logits by one block: what token_logprobs and linear_logprobs share.
#pragma once
#include "cuda/common.cuh"

namespace pk::cuda {

constexpr float kLowest = -3.402823466e38f;  // never -Inf, against which every difference would be NaN
constexpr float kExpLow = -87.0f;

// Sums over some logits z (already divided by the temperature), relative to `reference`, their maximum so far.
struct SoftmaxSums {
  float reference = kLowest;
  double mass = 0;    // sum of e^(z - reference)
  double weight = 0;  // sum of e^(z - reference) * (z - reference)

  // NaN when every logit was -Inf: there is no distribution then.
  __device__ double log_sum_exp() const { return empty() ? nan("") : static_cast<double>(reference) + log(mass); }
  __device__ double entropy() const {
    double nats = empty() ? nan("") : log(mass) - weight / mass;
    return nats < 1e-30 ? 0 : nats;  // never below 0 by rounding; NaN stays
  }
  __device__ bool empty() const { return reference == kLowest; }
  // The same sums relative to a larger reference. NaN stays NaN.
  __device__ SoftmaxSums moved_to(float to) const {
    double shift = static_cast<double>(reference) - static_cast<double>(to), factor = exp(shift);
    if (mass == mass && (mass == 0 || factor == 0)) return {to, 0, 0};
    return {to, factor * mass, factor * (weight + mass * shift)};
  }
};
__device__ inline SoftmaxSums merged(const SoftmaxSums& a, const SoftmaxSums& b) {
  float reference = a.reference > b.reference ? a.reference : b.reference;
  SoftmaxSums x = a.moved_to(reference), y = b.moved_to(reference);
  return {reference, x.mass + y.mass, x.weight + y.weight};
}

// One thread's part, in float32: a few hundred terms.
template <bool with_entropy>
struct ThreadSums {
  float reference = kLowest, mass = 0, weight = 0;

  template <int n>
  __device__ __forceinline__ void add(const float (&logits)[n], float inverse_temperature) {
    float top = logits[0];
    for (int k = 1; k < n; ++k) top = logits[k] > top ? logits[k] : top;
    top *= inverse_temperature;
    if (top > reference) {
      float shift = reference - top, factor = expf(shift);
      weight = factor == 0 && mass == mass ? 0 : factor * (weight + mass * shift);
      mass *= factor;
      reference = top;
    }
    for (int k = 0; k < n; ++k) {
      float d = at_least(fmaf(logits[k], inverse_temperature, -reference), kExpLow), e = expf(d);
      mass += e;
      if (with_entropy) weight += e * d;
    }
  }
};

// A row as vectors of 16 bytes where its address allows, and single elements before and after.
template <class T, class Vectors, class Single>
__device__ __forceinline__ void for_row(const T* row, int64_t count, const Vectors& vectors, const Single& single) {
  constexpr int n = 16 / sizeof(T);
  int64_t head = (16 - static_cast<int64_t>(reinterpret_cast<uintptr_t>(row) % 16)) % 16 / static_cast<int64_t>(sizeof(T));
  if (head > count) head = count;
  int64_t whole = (count - head) / n, tail = head + whole * n;
  for (int64_t j = threadIdx.x; j < head; j += blockDim.x) single(j);
  vectors(head, whole);
  for (int64_t j = tail + threadIdx.x; j < count; j += blockDim.x) single(j);
}

// The block's sums of a row; the same in every thread.
template <bool with_entropy, class T>
__device__ SoftmaxSums row_sums(const T* row, int64_t count, float inverse_temperature) {
  constexpr int n = 16 / sizeof(T), kAhead = 4;  // vectors on their way per thread
  ThreadSums<with_entropy> sums;
  for_row(
      row, count,
      [&](int64_t head, int64_t whole) {
        int64_t i = threadIdx.x;
        for (; i + (kAhead - 1) * static_cast<int64_t>(blockDim.x) < whole; i += kAhead * static_cast<int64_t>(blockDim.x)) {
          Pack<T, n> packs[kAhead];
          for (int a = 0; a < kAhead; ++a) packs[a] = *reinterpret_cast<const Pack<T, n>*>(row + head + (i + a * blockDim.x) * n);
          for (int a = 0; a < kAhead; ++a) {
            float logits[n];
            for (int k = 0; k < n; ++k) logits[k] = to_float(packs[a].v[k]);
            sums.add(logits, inverse_temperature);
          }
        }
        for (; i < whole; i += blockDim.x) {
          float logits[n];
          load_floats(logits, row + head + i * n);
          sums.add(logits, inverse_temperature);
        }
      },
      [&](int64_t j) {
        float logits[1] = {to_float(row[j])};
        sums.add(logits, inverse_temperature);
      });
  float reference = block_reduce(sums.reference, Max());
  SoftmaxSums own = SoftmaxSums{sums.reference, sums.mass, sums.weight}.moved_to(reference);
  SoftmaxSums all{reference, block_sum(own.mass), 0};
  if (with_entropy) all.weight = block_sum(own.weight);
  return all;
}

// What the gradient of one row needs besides its logits.
struct LogitGradient {
  float inverse_temperature;
  double log_sum_exp;
  double entropy;
  float d_logprob;
  float d_entropy;
};

// The target's element of d_logits; (1 - p) is formed in float64, as p may be close to 1.
__device__ inline float target_gradient(float logit, const LogitGradient& row) {
  double log_p = static_cast<double>(logit) * row.inverse_temperature - row.log_sum_exp, p = exp(log_p);
  double entropy_part = p == 0 || row.d_entropy == 0 ? 0 : row.d_entropy * p * (log_p + row.entropy);
  return static_cast<float>((row.d_logprob * (1 - p) - entropy_part) * row.inverse_temperature);
}

// d_logits[j] = -p_j (d_logprob + d_entropy (log p_j + entropy)) / temperature, and target_gradient at `target` (if it is one
// of these logits). Out is float or bf16; d_logits may be logits. A row with no incoming gradient gets zeros whatever its logits.
template <class Out, class T>
__device__ void write_logit_gradient(Out* d_logits, const T* logits, int64_t count, int64_t target, const LogitGradient& row) {
  bool none = row.d_logprob == 0 && row.d_entropy == 0, has_target = 0 <= target && target < count && row.d_logprob != 0;
  float target_logit = has_target ? to_float(logits[target]) : 0;
  // log p = z - lse; the part of lse that float32 cannot hold is kept, as lse may be large and log p small.
  float lse = static_cast<float>(row.log_sum_exp), lse_rest = static_cast<float>(row.log_sum_exp - static_cast<double>(lse));
  float slope = row.d_entropy, constant = slope == 0 ? row.d_logprob : row.d_logprob + slope * static_cast<float>(row.entropy);
  __syncthreads();  // the target's logit has been read by all
  auto gradient = [&](float logit, int64_t j) {
    if (none) return 0.0f;
    if (has_target && j == target) return target_gradient(target_logit, row);
    float log_p = fmaf(logit, row.inverse_temperature, -lse) - lse_rest;
    float p = log_p < kExpLow ? 0.0f : expf(log_p);
    return -p * (slope * at_least(log_p, kExpLow) + constant) * row.inverse_temperature;
  };
  constexpr int n = 4;
  bool vectors = (reinterpret_cast<uintptr_t>(logits) % (n * sizeof(T)) | reinterpret_cast<uintptr_t>(d_logits) % (n * sizeof(Out))) == 0;
  int64_t whole = vectors ? count / n : 0;
  for (int64_t i = threadIdx.x; i < whole; i += blockDim.x) {
    float values[n];
    load_floats(values, logits + i * n);
    for (int k = 0; k < n; ++k) values[k] = gradient(values[k], i * n + k);
    store_floats(d_logits + i * n, values);
  }
  for (int64_t j = whole * n + threadIdx.x; j < count; j += blockDim.x) d_logits[j] = from_float<Out>(gradient(to_float(logits[j]), j));
}

}  // namespace pk::cuda
