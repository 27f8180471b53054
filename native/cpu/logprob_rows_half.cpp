// The softmax sums of bfloat16 logits. They come from memory twice as fast as float32 ones, so there are as few operations for each as
// can be: everything is in powers of two, and a logit too far above the reference shows in the sum, which is then huge.
#include <algorithm>

#include "cpu/logprob_rows.h"

namespace pk {

namespace {

constexpr int kPair = 2 * kLanes;       // logits in a register
constexpr int kStreams = 4;             // registers of floats side by side
constexpr int64_t kBlock = 2048;        // logits whose sums stay in float32 lanes
constexpr int64_t kAhead = 8192;        // bytes to prefetch
constexpr float kMostMass = 1ll << 43;  // of a block; above, it is done again with a larger reference
constexpr double kLn2 = 0.69314718055994530942;

// 2^y of y from -126 or NaN; Inf (or near it) above 127. Relative error 1e-7: Remez, exact at integers.
#if defined(__AVX512DQ__)
inline VFloat exp2_from(VFloat y) {
  VFloat r = (VFloat)_mm512_maskz_reduce_ps(0xffff, (__m512)y, 1 /* y - floor(y) */);
  VFloat p = r * 0.0018671301378117094f + 0.009017030178656881f;
  p = p * r + 0.055799913206430775f;
  p = p * r + 0.24016445012699067f;
  p = p * r + 0.6931513118068997f;
  p = p * r + 1.0f;
  return (VFloat)_mm512_maskz_scalef_ps(0xffff, (__m512)p, (__m512)y /* p 2^floor(y) */);
}
#else
inline VFloat exp2_from(VFloat y) {
  constexpr float magic = 12582912.0f + 127.0f;  // 1.5 * 2^23: adding it rounds to an integer, whose low bits are then n + 127
  y = at_most(y, 127.0f);
  VFloat shifted = y + magic;
  VFloat r = y - (shifted - magic);
  VFloat p = r * 0.0013264727247120193f + 0.0096715126881641f;
  p = p * r + 0.05550733743574401f;
  p = p * r + 0.24022242084634912f;
  p = p * r + 0.6931469775987169f;
  p = p * r + 1.0f;
  return p * reinterpret_cast<VFloat>(reinterpret_cast<VInt>(shifted) << 23);
}
#endif

struct HalfSums {
  VFloat mass[kStreams] = {}, weight[kStreams] = {};
};

// Adds 2^y and 2^y y, y = (logit - reference) * scale, of two registers' words. The reference itself adds exactly 1, so that what is
// left for others beside a nearly certain token is exact.
template <bool with_entropy>
inline void add_words(HalfSums& sums, VWord first, VWord second, float reference, float scale) {
  const VWord words[kStreams] = {first << 16, first & 0xffff0000u, second << 16, second & 0xffff0000u};
  for (int k = 0; k < kStreams; ++k) {
    VFloat y = at_least(((VFloat)words[k] - reference) * scale, -126.0f), e = exp2_from(y);
    sums.mass[k] += e;
    if constexpr (with_entropy) sums.weight[k] += e * y;
  }
}

VWord load_last(const bf16* from, int64_t n) {
  bf16 lanes[kPair];
  std::fill(lanes, lanes + kPair, to_bf16(-kInfinity));
  std::copy(from, from + n, lanes);
  return load<VWord>(lanes);
}

template <bool with_entropy>
HalfSums block_sums(const bf16* logits, int64_t count, float reference, float scale) {
  HalfSums sums;
  int64_t j = 0;
  for (; j + 2 * kPair <= count; j += 2 * kPair) {
    const char* ahead = reinterpret_cast<const char*>(logits + j) + kAhead;
    for (int byte = 0; byte < 4 * kPair; byte += 64) __builtin_prefetch(ahead + byte);
    add_words<with_entropy>(sums, load<VWord>(logits + j), load<VWord>(logits + j + kPair), reference, scale);
  }
  if (int64_t rest = count - j; rest > 0)
    add_words<with_entropy>(sums, load_last(logits + j, std::min<int64_t>(rest, kPair)), load_last(logits + j + kPair, std::max<int64_t>(rest - kPair, 0)),
                            reference, scale);
  return sums;
}

inline void add_all(VDouble& total, const VFloat (&parts)[kStreams]) {
  for (int k = 0; k < kStreams; ++k) add_to(total, parts[k]);
}

float block_maximum(const bf16* logits, int64_t count) {
  VFloat maximum = splat(-kInfinity);
  auto add = [&](VWord words) { maximum = larger((VFloat)(words << 16), larger((VFloat)(words & 0xffff0000u), maximum)); };
  int64_t j = 0;
  for (; j + kPair <= count; j += kPair) add(load<VWord>(logits + j));
  if (j < count) add(load_last(logits + j, count - j));
  return largest(maximum);
}

// The sums in nats, relative to a float32 reference.
SoftmaxSums in_nats(double mass, double weight, double reference) {
  SoftmaxSums sums;
  sums.reference = static_cast<float>(reference);
  double shift = reference - static_cast<double>(sums.reference), factor = shift == 0 ? 1 : std::exp(shift);
  sums.mass = factor * mass;
  sums.weight = factor * (weight * kLn2 + mass * shift);
  return sums;
}

}  // namespace

template <bool with_entropy>
bool half_softmax_sums(SoftmaxSums& sums, const bf16* logits, int64_t count, float inverse_temperature) {
  float scale = inverse_temperature * 1.44269504f, reference = block_maximum(logits, std::min<int64_t>(count, 1024));
  if (!(std::fabs(reference) < 1e30f)) return false;
  VDouble mass{}, weight{};
  for (int64_t at = 0; at < count;) {
    int64_t n = std::min(count - at, kBlock);
    HalfSums block = block_sums<with_entropy>(logits + at, n, reference, scale);
    VDouble block_mass{};
    add_all(block_mass, block.mass);
    if (sum(block_mass) > kMostMass) {
      float higher = block_maximum(logits + at, n);
      if (!(higher < 1e30f)) return false;
      double shift = (static_cast<double>(reference) - static_cast<double>(higher)) * scale, factor = std::exp2(shift);
      double moved = factor * (sum(weight) + sum(mass) * shift);
      mass = VDouble{sum(mass) * factor};
      weight = VDouble{factor == 0 ? 0 : moved};
      reference = higher;
      continue;  // the same block again, against the new reference
    }
    mass += block_mass;
    if constexpr (with_entropy) add_all(weight, block.weight);
    at += n;
  }
  sums = in_nats(sum(mass), sum(weight), static_cast<double>(reference) * inverse_temperature);
  return true;
}

template bool half_softmax_sums<true>(SoftmaxSums&, const bf16*, int64_t, float);
template bool half_softmax_sums<false>(SoftmaxSums&, const bf16*, int64_t, float);

}  // namespace pk
