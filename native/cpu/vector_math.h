// Branch-free float32 functions that gcc turns into SIMD code inside loops.
#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace pk {

// e^x within 2 units in the last place; 0 below -87.3, +Inf above 88.7, NaN stays NaN.
inline float exp_f32(float x) {
  float clamped = x < -87.33f ? -87.33f : x;
  clamped = clamped > 88.72f ? 88.72f : clamped;
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding and subtracting it rounds to an integer
  float n = clamped * 1.44269504f + magic;
  int32_t exponent = __builtin_bit_cast(int32_t, n) - 0x4B400000;
  n -= magic;
  float r = clamped - n * 0.693359375f;
  r -= n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // Two half-size scalings, because 2^128 is not a float32.
  int32_t half = exponent >> 1;
  float scale_a = __builtin_bit_cast(float, (half + 127) << 23), scale_b = __builtin_bit_cast(float, (exponent - half + 127) << 23);
  float y = p * scale_a * scale_b;
  y = x < -87.33f ? 0.0f : y;
  y = x > 88.72f ? __builtin_inff() : y;
  return x != x ? x : y;
}

inline float sigmoid_f32(float x) { return 1.0f / (1.0f + exp_f32(-x)); }

}  // namespace pk
