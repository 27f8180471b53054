// AdamW's arithmetic for one element (Loshchilov & Hutter 2019, decoupled weight decay), which all backends share, and how bfloat16 moments
// are rounded. A second moment changes by a thousandth of itself in a step, less than half of bfloat16's spacing: rounded to nearest it would
// stand still. So moments are rounded up or down by chance, in proportion to how near each neighbour is: right on average. The draws are
// counted by step and element, so a step gives the same bits wherever and whenever it is done.
#pragma once
#include <cmath>

#include "core/rng.h"
#include "core/tensor.h"
#include "ops/backend.h"

namespace pk {

// The settings as a step's elements need them.
struct AdamWNumbers {
  float lr, beta1, rest1, beta2, rest2, correct1, correct2, keep, eps, grad_scale;
  uint64_t step;
  int64_t first;
};

inline AdamWNumbers adamw_numbers(const AdamWSettings& s) {
  double step = static_cast<double>(s.step);
  auto f = [](double x) { return static_cast<float>(x); };
  return {s.lr,
          f(s.beta1),
          f(1.0 - s.beta1),
          f(s.beta2),
          f(1.0 - s.beta2),
          f(1.0 / (1.0 - std::pow(s.beta1, step))),
          f(1.0 / (1.0 - std::pow(s.beta2, step))),
          1.0f - s.lr * s.weight_decay,
          s.eps,
          s.grad_scale,
          static_cast<uint64_t>(s.step),
          s.first};
}

// p, m and v become those after the step; g is the gradient before clipping.
PK_PORTABLE inline void adamw_element(float& p, float& m, float& v, float g, const AdamWNumbers& s) {
  float scaled = g * s.grad_scale;
  m = s.beta1 * m + s.rest1 * scaled;
  v = s.beta2 * v + s.rest2 * scaled * scaled;
  p = p * s.keep - s.lr * (m * s.correct1) / (sqrtf(v * s.correct2) + s.eps);
}

// Random bits of the elements 4k … 4k + 3 counted from the model's first: the lower half is for the first moment, the upper for the second.
PK_PORTABLE inline Philox moment_bits(const AdamWNumbers& s, int64_t quad) { return philox(0x4d6f6d656e7473ull, s.step, static_cast<uint64_t>(quad)); }

// One of the two neighbours in bfloat16, the upper with the chance that v's distance from the lower says; bits: 16 random ones. NaN stays NaN.
PK_PORTABLE inline bf16 round_by_chance(float v, uint32_t bits) {
  uint32_t u = __builtin_bit_cast(uint32_t, v);
  uint32_t quiet = (u >> 16) | 0x40u;
  return {static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? quiet : (u + (bits & 0xffffu)) >> 16)};
}
PK_PORTABLE inline void store_moment(float& to, float v, uint32_t) { to = v; }
PK_PORTABLE inline void store_moment(bf16& to, float v, uint32_t bits) { to = round_by_chance(v, bits); }

}  // namespace pk
