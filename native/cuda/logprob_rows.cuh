// Log-sum-exp, entropy and their gradient of one row of logits by one block: what token_logprobs and linear_logprobs share.
// Exponentials are powers of two, which the GPU computes in one instruction: e^(z / temperature) = 2^(z scale), scale = log2(e) / temperature.
#pragma once
#include "cuda/common.cuh"

namespace pk::cuda {

constexpr float kLowest = -3.402823466e38f;  // never -Inf, against which every difference would be NaN
constexpr float kExpLow = -87.0f, kLog2E = 1.44269504f;
constexpr double kLn2 = 0.69314718055994530942;

__device__ __forceinline__ float scale_of(float inverse_temperature) { return inverse_temperature * kLog2E; }

// Sums over some logits, relative to `reference`, their maximum so far: of 2^y and 2^y y, y = (logit - reference) * scale. The maximum
// itself adds exactly 1, so that what is left for others beside a nearly certain token is exact.
struct SoftmaxSums {
  float reference = kLowest;
  double mass = 0;
  double weight = 0;

  // Of logits / temperature. NaN when every logit was -Inf: there is no distribution then.
  __device__ double log_sum_exp(float inverse_temperature) const {
    return empty() ? nan("") : static_cast<double>(reference) * inverse_temperature + log(mass);
  }
  __device__ double entropy() const {
    double nats = empty() ? nan("") : (log2(mass) - weight / mass) * kLn2;
    return nats < 1e-30 ? 0 : nats;  // never below 0 by rounding; NaN stays
  }
  __device__ bool empty() const { return reference == kLowest; }
  // The same sums relative to a larger reference. NaN stays NaN.
  __device__ SoftmaxSums moved_to(float to, float scale) const {
    double shift = (static_cast<double>(reference) - static_cast<double>(to)) * scale, factor = exp2_fast(static_cast<float>(shift));
    if (mass == mass && (mass == 0 || factor == 0)) return {to, 0, 0};
    return {to, factor * mass, factor * (weight + mass * shift)};
  }
};
__device__ inline SoftmaxSums merged(const SoftmaxSums& a, const SoftmaxSums& b, float scale) {
  float reference = a.reference > b.reference ? a.reference : b.reference;
  SoftmaxSums x = a.moved_to(reference, scale), y = b.moved_to(reference, scale);
  return {reference, x.mass + y.mass, x.weight + y.weight};
}

// 16 bytes of logits as they lie in memory: their maximum (NaN apart), and as floats whose products with the scale are finite or NaN.
struct alignas(16) FloatVector {
  static constexpr int n = 4;
  float v[n];
  __device__ __forceinline__ float maximum() const { return fmaxf(fmaxf(v[0], v[1]), fmaxf(v[2], v[3])); }
  __device__ __forceinline__ void expand(float (&to)[n], float low) const {
    for (int k = 0; k < n; ++k) to[k] = max_nan(v[k], low);
  }
};
struct alignas(16) Bf16Vector {
  static constexpr int n = 8;
  uint32_t v[n / 2];
  __device__ __forceinline__ float maximum() const {
    uint32_t both = max_bf16x2(max_bf16x2(v[0], v[1]), max_bf16x2(v[2], v[3]));
    return fmaxf(low_bf16(both), high_bf16(both));
  }
  __device__ __forceinline__ void expand(float (&to)[n], float low) const {
    uint32_t lows = pack_bf16(low, low);
    for (int k = 0; k < n / 2; ++k) {
      uint32_t both = max_nan_bf16x2(v[k], lows);
      to[2 * k] = low_bf16(both);
      to[2 * k + 1] = high_bf16(both);
    }
  }
};
template <class T>
struct VectorOf {
  using type = FloatVector;
};
template <>
struct VectorOf<bf16> {
  using type = Bf16Vector;
};

// One thread's part, in float32: a few hundred terms.
template <bool with_entropy>
struct ThreadSums {
  float scale, low;  // a smaller logit counts as this one, of probability 0, so that -Inf needs no care
  float reference = kLowest, mass = 0, weight = 0;

  __device__ explicit ThreadSums(float scale) : scale(scale), low(-fminf(3.3e38f, 8.5e37f / scale)) {}

  // `top` is the largest of the logits that are added next, -Inf for nothing.
  __device__ __forceinline__ void raise(float top) {
    if (!(top > reference)) return;
    float shift = (reference - top) * scale, factor = exp2_fast(shift);
    weight = factor == 0 && mass == mass ? 0 : factor * (weight + mass * shift);
    mass *= factor;
    reference = top;
  }
  template <int n>
  __device__ __forceinline__ void add(const float (&logits)[n]) {
    float at = reference == kLowest ? 0 : reference;
    for (int k = 0; k < n; ++k) {
      float d = (logits[k] - at) * scale, e = exp2_fast(d);
      mass += e;
      if (with_entropy) weight = fmaf(e, d, weight);
    }
  }
  template <int count, class V>
  __device__ __forceinline__ void add_vectors(const V (&vectors)[count]) {
    float top = vectors[0].maximum();
    for (int a = 1; a < count; ++a) top = fmaxf(top, vectors[a].maximum());
    raise(top);
    for (int a = 0; a < count; ++a) {
      float logits[V::n];
      vectors[a].expand(logits, low);
      add(logits);
    }
  }
  __device__ void add_one(float logit) {
    float logits[1] = {max_nan(logit, low)};
    raise(logit);
    add(logits);
  }
};

// The vectors of a row whose address allows it, those of the next round on their way while the last ones are added.
template <class V, class Sums>
__device__ __forceinline__ void add_row(Sums& sums, const V* row, int64_t whole) {
  constexpr int kAhead = 4;
  const int64_t step = blockDim.x, round = kAhead * step, last = (kAhead - 1) * step;
  int64_t i = threadIdx.x;
  V next[kAhead];
  auto fetch = [&] {
    for (int a = 0; a < kAhead; ++a) next[a] = row[i + a * step];
  };
  bool more = i + last < whole;
  if (more) fetch();
  while (more) {
    V now[kAhead];
    for (int a = 0; a < kAhead; ++a) now[a] = next[a];
    i += round;
    more = i + last < whole;
    if (more) fetch();
    sums.add_vectors(now);
  }
  for (; i < whole; i += step) {
    V one[1] = {row[i]};
    sums.add_vectors(one);
  }
}

// The block's sums of a row; the same in every thread.
template <bool with_entropy, class T>
__device__ SoftmaxSums row_sums(const T* row, int64_t count, float inverse_temperature) {
  using V = typename VectorOf<T>::type;
  ThreadSums<with_entropy> sums(scale_of(inverse_temperature));
  // Single elements before the first multiple of 16 bytes and after the last.
  int64_t head = (16 - static_cast<int64_t>(reinterpret_cast<uintptr_t>(row) % 16)) % 16 / static_cast<int64_t>(sizeof(T));
  if (head > count) head = count;
  int64_t whole = (count - head) / V::n;
  for (int64_t j = threadIdx.x; j < head; j += blockDim.x) sums.add_one(to_float(row[j]));
  add_row(sums, reinterpret_cast<const V*>(row + head), whole);
  for (int64_t j = head + whole * V::n + threadIdx.x; j < count; j += blockDim.x) sums.add_one(to_float(row[j]));
  float reference = block_reduce(sums.reference, Max());
  SoftmaxSums own = SoftmaxSums{sums.reference, sums.mass, sums.weight}.moved_to(reference, sums.scale);
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

// value(logit) of every logit, 16 bytes of logits at a time where the addresses allow.
template <class Out, class T, class Value>
__device__ __forceinline__ void map_row(Out* out, const T* logits, int64_t count, const Value& value) {
  constexpr int n = 16 / sizeof(T);
  bool vectors = (reinterpret_cast<uintptr_t>(logits) % (n * sizeof(T)) | reinterpret_cast<uintptr_t>(out) % (n * sizeof(Out))) == 0;
  int64_t whole = vectors ? count / n : 0;
  for (int64_t i = threadIdx.x; i < whole; i += blockDim.x) {
    float values[n];
    load_floats(values, logits + i * n);
    for (int k = 0; k < n; ++k) values[k] = value(values[k]);
    store_floats(out + i * n, values);
  }
  for (int64_t j = whole * n + threadIdx.x; j < count; j += blockDim.x) out[j] = from_float<Out>(value(to_float(logits[j])));
}

// d_logits[j] = -p_j (d_logprob + d_entropy (log p_j + entropy)) / temperature, and target_gradient at `target` (if it is one
// of these logits). Out and T are float or bf16; d_logits may be logits. A row with no incoming gradient gets zeros whatever its logits.
template <class Out, class T>
__device__ void write_logit_gradient(Out* d_logits, const T* logits, int64_t count, int64_t target, const LogitGradient& row) {
  bool none = row.d_logprob == 0 && row.d_entropy == 0, has_target = 0 <= target && target < count && row.d_logprob != 0;
  float target_logit = has_target ? to_float(logits[target]) : 0;
  // log p = z - lse; the part of lse that float32 cannot hold is kept, as lse may be large and log p small.
  float lse = static_cast<float>(row.log_sum_exp), lse_rest = static_cast<float>(row.log_sum_exp - static_cast<double>(lse));
  float constant = row.d_entropy == 0 ? row.d_logprob : row.d_logprob + row.d_entropy * static_cast<float>(row.entropy);
  float slope = -row.d_entropy * row.inverse_temperature, base = -constant * row.inverse_temperature;
  __syncthreads();  // the target's logit has been read by all
  if (none) {
    for (int64_t j = threadIdx.x; j < count; j += blockDim.x) d_logits[j] = from_float<Out>(0.0f);
    return;
  }
  map_row(d_logits, logits, count, [&](float logit) {
    float log_p = fmaf(logit, row.inverse_temperature, -lse) - lse_rest;
    return exp2_fast(log_p * kLog2E) * fmaf(slope, max_nan(log_p, kExpLow), base);
  });
  __syncthreads();  // of the thread that wrote the target's element
  if (has_target && threadIdx.x == 0) d_logits[target] = from_float<Out>(target_gradient(target_logit, row));
}

}  // namespace pk::cuda
