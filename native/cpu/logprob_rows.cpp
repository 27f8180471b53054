#include "cpu/logprob_rows.h"

#include <algorithm>

#include "core/tensor.h"

namespace pk {

namespace {

// The first n lanes from memory, -Inf in the others.
VFloat load_lanes_part(const float* from, int64_t n) { return load_part<VFloat>(from, n, -kInfinity); }
VFloat load_lanes_part(const bf16* from, int64_t n) {
  bf16 lanes[kLanes];
  std::fill(lanes, lanes + kLanes, to_bf16(-kInfinity));
  std::copy(from, from + n, lanes);
  return load_lanes(lanes);
}

constexpr int64_t kBlock = 1024;       // logits whose sums stay in float32 lanes
constexpr int64_t kAhead = 8192;       // bytes to prefetch: arithmetic and memory then overlap (68 -> 95 % of read bandwidth)
constexpr float kReferenceSlack = 30;  // a maximum this far above the reference starts a block again

struct BlockSums {
  VFloat mass{}, weight{}, maximum = splat(-kInfinity);
};

// Below kExpLow a term counts as e^-87, nothing beside the maximum's e^-30 or more; far above the reference it is
// garbage, and the block is done again.
template <bool with_entropy>
inline void add_logits(BlockSums& sums, VFloat logits, float inverse_temperature, float reference) {
  sums.maximum = larger(logits, sums.maximum);
  VFloat d = at_least(logits * inverse_temperature - reference, kExpLow);
  VFloat e = exp_in_range(d);
  sums.mass += e;
  if constexpr (with_entropy) sums.weight += e * d;
}

template <bool with_entropy, class T>
BlockSums block_sums(const T* logits, int64_t count, float inverse_temperature, float reference) {
  constexpr int kStreams = 4;                                         // independent chains, to fill the pipelines
  constexpr int kLine = 64 / (kLanes * static_cast<int>(sizeof(T)));  // loads of a cache line
  BlockSums part[kStreams];
  int64_t j = 0;
  for (; j + kStreams * kLanes <= count; j += kStreams * kLanes)
    for (int k = 0; k < kStreams; ++k) {
      if (k % kLine == 0) __builtin_prefetch(reinterpret_cast<const char*>(logits + j + k * kLanes) + kAhead);
      add_logits<with_entropy>(part[k], load_lanes(logits + j + k * kLanes), inverse_temperature, reference);
    }
  for (; j + kLanes <= count; j += kLanes) add_logits<with_entropy>(part[0], load_lanes(logits + j), inverse_temperature, reference);
  if (j < count) add_logits<with_entropy>(part[1], load_lanes_part(logits + j, count - j), inverse_temperature, reference);
  for (int k = 1; k < kStreams; ++k) {
    part[0].mass += part[k].mass;
    part[0].weight += part[k].weight;
    part[0].maximum = larger(part[k].maximum, part[0].maximum);
  }
  return part[0];
}

template <class T>
float block_maximum(const T* logits, int64_t count) {
  VFloat maximum = splat(-kInfinity);
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) maximum = larger(load_lanes(logits + j), maximum);
  if (j < count) maximum = larger(load_lanes_part(logits + j, count - j), maximum);
  return largest(maximum);
}

// Never -Inf, against which every difference would be NaN.
float usable_reference(float maximum) {
  constexpr float lowest = -std::numeric_limits<float>::max();
  return maximum > lowest ? maximum : lowest;
}

}  // namespace

// One pass: the reference is the first block's maximum, and moves only when a later block exceeds it by much.
template <bool with_entropy, class T>
SoftmaxSums softmax_sums(const T* logits, int64_t count, float inverse_temperature) {
  SoftmaxSums sums;
  if constexpr (sizeof(T) == sizeof(bf16)) {
    if (half_softmax_sums<with_entropy>(sums, logits, count, inverse_temperature)) return sums;
  }
  sums.reference = usable_reference(block_maximum(logits, count < kBlock ? count : kBlock) * inverse_temperature);
  VDouble mass{}, weight{};
  for (int64_t at = 0; at < count;) {
    int64_t n = count - at < kBlock ? count - at : kBlock;
    BlockSums block = block_sums<with_entropy>(logits + at, n, inverse_temperature, sums.reference);
    float maximum = largest(block.maximum) * inverse_temperature;
    if (maximum > sums.reference + kReferenceSlack) {
      sums.mass = sum(mass);
      sums.weight = sum(weight);
      sums.rescale(maximum);
      mass = weight = VDouble{};
      mass[0] = sums.mass;
      weight[0] = sums.weight;
      continue;  // the same block again, against the new reference
    }
    add_to(mass, block.mass);
    if constexpr (with_entropy) add_to(weight, block.weight);
    at += n;
  }
  sums.mass = sum(mass);
  sums.weight = sum(weight);
  return sums;
}

template SoftmaxSums softmax_sums<true>(const float*, int64_t, float);
template SoftmaxSums softmax_sums<false>(const float*, int64_t, float);
template SoftmaxSums softmax_sums<true>(const bf16*, int64_t, float);
template SoftmaxSums softmax_sums<false>(const bf16*, int64_t, float);

namespace {

inline void store_gradient(float* to, VFloat v, int64_t n) { n == kLanes ? store(to, v) : store_part(to, v, n); }
inline void store_gradient(bf16* to, VFloat v, int64_t n) {
  VShort rounded = to_bfloat16(v);
  n == kLanes ? store(to, rounded) : store_part(to, rounded, n);
}

}  // namespace

template <class Out, class In>
void logit_gradient(Out* d_logits, const In* logits, int64_t count, const LogitGradient& row) {
  if (row.d_logprob == 0 && row.d_entropy == 0) {
    for (int64_t j = 0; j < count; ++j) d_logits[j] = from_float<Out>(0.0f);
    return;
  }
  // log p = z - lse; the part of lse that float32 cannot hold is kept, as lse may be large and log p small.
  float lse = static_cast<float>(row.log_sum_exp), lse_rest = static_cast<float>(row.log_sum_exp - static_cast<double>(lse));
  float constant = row.d_logprob + row.d_entropy * static_cast<float>(row.entropy), slope = row.d_entropy;
  if (slope == 0) constant = row.d_logprob;  // entropy may then be absent
  float factor = -row.inverse_temperature;
  auto gradient = [&](VFloat z) {
    VFloat log_p = z * row.inverse_temperature - lse - lse_rest;
    VFloat clamped = at_most(at_least(log_p, kExpLow), kExpHigh);
    VFloat p = exp_in_range(clamped);
    p = log_p < kExpLow ? VFloat{} : p;
    return p * (slope * clamped + constant) * factor;
  };
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) store_gradient(d_logits + j, gradient(load_lanes(logits + j)), kLanes);
  if (j < count) store_gradient(d_logits + j, gradient(load_lanes_part(logits + j, count - j)), count - j);
}

template void logit_gradient(float*, const float*, int64_t, const LogitGradient&);
template void logit_gradient(bf16*, const float*, int64_t, const LogitGradient&);
template void logit_gradient(float*, const bf16*, int64_t, const LogitGradient&);
template void logit_gradient(bf16*, const bf16*, int64_t, const LogitGradient&);

}  // namespace pk
