// Short vectors as wide as the machine's registers, and the few functions on them that the kernels need. Written with
// GCC's vector extensions, so one source serves AVX-512, AVX2, SSE and NEON. NaN stays NaN in every function here.
#pragma once
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "core/tensor.h"

namespace pk {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif
inline constexpr int kHalf = kLanes / 2;

typedef float VFloat __attribute__((vector_size(kLanes * 4)));
typedef int32_t VInt __attribute__((vector_size(kLanes * 4)));
typedef float VHalf __attribute__((vector_size(kHalf * 4)));  // as many floats as a VDouble has lanes
typedef double VDouble __attribute__((vector_size(kHalf * 8)));

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Typed arrays come at any 4-byte offset, so every access is unaligned.
template <class V, class T>
inline V load(const T* from) {
  V v;
  std::memcpy(&v, from, sizeof(V));
  return v;
}
template <class V, class T>
inline void store(T* to, V v) {
  std::memcpy(to, &v, sizeof(V));
}
// The first n lanes from memory, `fill` in the others.
template <class V, class T>
inline V load_part(const T* from, int64_t n, T fill) {
  V v = V{} + fill;
  std::memcpy(&v, from, static_cast<size_t>(n) * sizeof(T));
  return v;
}
template <class V, class T>
inline void store_part(T* to, V v, int64_t n) {
  std::memcpy(to, &v, static_cast<size_t>(n) * sizeof(T));
}

inline VFloat splat(float x) { return VFloat{} + x; }
inline VDouble splat(double x) { return VDouble{} + x; }

// Doubles from either kind of log-prob array.
inline VDouble load_doubles(const float* from) { return __builtin_convertvector(load<VHalf>(from), VDouble); }
inline VDouble load_doubles(const double* from) { return load<VDouble>(from); }
inline VDouble load_doubles_part(const float* from, int64_t n) { return __builtin_convertvector(load_part<VHalf>(from, n, 0.0f), VDouble); }
inline VDouble load_doubles_part(const double* from, int64_t n) { return load_part<VDouble>(from, n, 0.0); }
inline void store_floats(float* to, VDouble v) { store(to, __builtin_convertvector(v, VHalf)); }
inline void store_floats_part(float* to, VDouble v, int64_t n) { store_part(to, __builtin_convertvector(v, VHalf), n); }

// The comparisons are written so that a NaN in v is kept. (GCC makes two instructions of each where AVX-512 has one.)
#if defined(__AVX512F__)
inline VFloat at_least(VFloat v, float low) { return (VFloat)_mm512_maskz_max_ps(0xffff, (__m512)splat(low), (__m512)v); }
inline VFloat at_most(VFloat v, float high) { return (VFloat)_mm512_maskz_min_ps(0xffff, (__m512)splat(high), (__m512)v); }
#else
inline VFloat at_least(VFloat v, float low) { return v < low ? splat(low) : v; }
inline VFloat at_most(VFloat v, float high) { return v > high ? splat(high) : v; }
#endif

// Lane i of the result is lane i + k, around the end.
namespace detail {
template <int k, class V, size_t... i>
inline V rotate(V v, std::index_sequence<i...>) {
  return __builtin_shufflevector(v, v, (static_cast<int>((i + k) % sizeof...(i)))...);
}
}  // namespace detail
template <int k>
inline VFloat rotate(VFloat v) {
  return detail::rotate<k>(v, std::make_index_sequence<kLanes>());
}
template <int k>
inline VDouble rotate(VDouble v) {
  return detail::rotate<k>(v, std::make_index_sequence<kHalf>());
}
#if defined(__AVX512F__)
inline VFloat larger(VFloat a, VFloat b) { return (VFloat)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b); }
#else
inline VFloat larger(VFloat a, VFloat b) { return a > b ? a : b; }
#endif
inline float largest(VFloat v) {
  if constexpr (kLanes > 8) v = larger(v, rotate<8>(v));
  if constexpr (kLanes > 4) v = larger(v, rotate<4>(v));
  v = larger(v, rotate<2>(v));
  return larger(v, rotate<1>(v))[0];
}
inline double sum(VDouble v) {
  if constexpr (kHalf > 4) v += rotate<4>(v);
  if constexpr (kHalf > 2) v += rotate<2>(v);
  v += rotate<1>(v);
  return v[0];
}
// Adds the lanes of v to double lanes: float sums stay short and the long ones run in double.
namespace detail {
template <size_t... i>
inline VDouble sum_of_halves(VFloat v, std::index_sequence<i...>) {
  VHalf low = __builtin_shufflevector(v, v, static_cast<int>(i)...), high = __builtin_shufflevector(v, v, static_cast<int>(i + kHalf)...);
  return __builtin_convertvector(low, VDouble) + __builtin_convertvector(high, VDouble);
}
}  // namespace detail
inline void add_to(VDouble& total, VFloat v) { total += detail::sum_of_halves(v, std::make_index_sequence<kHalf>()); }

// a - b, but 0 where both are the same infinity: two log-probs of an impossible token do not differ.
inline VFloat difference(VFloat a, VFloat b) { return a == b ? VFloat{} : a - b; }
inline VDouble difference(VDouble a, VDouble b) { return a == b ? VDouble{} : a - b; }

// Lane i of the result is lane i - k (up) or i + k (down) of v, and 0 where there is none.
namespace detail {
template <int k, size_t... i>
inline VDouble shift_up(VDouble v, std::index_sequence<i...>) {
  return __builtin_shufflevector(v, VDouble{}, (static_cast<int>(i) >= k ? static_cast<int>(i) - k : kHalf)...);
}
template <int k, size_t... i>
inline VDouble shift_down(VDouble v, std::index_sequence<i...>) {
  return __builtin_shufflevector(v, VDouble{}, (static_cast<int>(i) + k)...);
}
}  // namespace detail
template <int k>
inline VDouble shift_up(VDouble v) {
  return detail::shift_up<k>(v, std::make_index_sequence<kHalf>());
}
template <int k>
inline VDouble shift_down(VDouble v) {
  return detail::shift_down<k>(v, std::make_index_sequence<kHalf>());
}

// Lane i: the sum of lanes 0..i.
inline VDouble prefix_sum(VDouble v) {
  v += shift_up<1>(v);
  if constexpr (kHalf > 2) v += shift_up<2>(v);
  if constexpr (kHalf > 4) v += shift_up<4>(v);
  return v;
}

// Lane i: the sum over j >= i of gamma^(j-i) v[j]; gamma2 and gamma4 are gamma's powers.
inline VDouble discounted_suffix_sum(VDouble v, double gamma, double gamma2, double gamma4) {
  v += gamma * shift_down<1>(v);
  if constexpr (kHalf > 2) v += gamma2 * shift_down<2>(v);
  if constexpr (kHalf > 4) v += gamma4 * shift_down<4>(v);
  return v;
}

inline constexpr float kExpLow = -87.0f, kExpHigh = 88.0f;

// e^x for x in [kExpLow, kExpHigh] or NaN; relative error 3e-7. 2^n times a polynomial in r = x - n ln 2, |r| <= ln 2 / 2, whose
// coefficients are the minimax fit of relative error (Remez).
inline VFloat exp_in_range(VFloat x) {
  constexpr float magic = 12582912.0f + 127.0f;  // 1.5 * 2^23: adding it rounds to an integer, whose low bits are then n + 127
  VFloat shifted = x * 1.44269504088896341f + magic;
  VFloat n = shifted - magic;
  VFloat r = x - n * 0.693147180559945309f;  // float32's ln 2 is off by only 2e-9
  VFloat p = r * 0.008312520144156203f + 0.041890156812694264f;
  p = p * r + 0.1666711464998885f;
  p = p * r + 0.4999923149540196f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * reinterpret_cast<VFloat>(reinterpret_cast<VInt>(shifted) << 23);  // a product, so that NaN stays NaN
}

// e^x of any x: 0 below kExpLow, e^kExpHigh above kExpHigh, NaN stays NaN.
inline VFloat exp_lanes(VFloat x) {
  VFloat y = exp_in_range(at_most(at_least(x, kExpLow), kExpHigh));
  return x < kExpLow ? VFloat{} : y;
}
inline VFloat sigmoid_lanes(VFloat x) { return 1.0f / (1.0f + exp_in_range(at_most(at_least(-x, kExpLow), kExpHigh))); }

// bfloat16 of each lane, rounded to nearest even; NaN stays NaN. (The instruction flushes denormals to zero.)
typedef uint32_t VWord __attribute__((vector_size(kLanes * 4)));
typedef uint16_t VShort __attribute__((vector_size(kLanes * 2)));
inline VShort to_bfloat16(VFloat v) {
#if defined(__AVX512BF16__)
  return (VShort)_mm512_cvtneps_pbh((__m512)v);
#else
  VWord u = reinterpret_cast<VWord>(v);
  VWord rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return __builtin_convertvector(v != v ? (u >> 16) | 0x40u : rounded, VShort);
#endif
}

// kLanes activations of either type, as float32.
inline VFloat load_lanes(const float* from) { return load<VFloat>(from); }
inline VFloat load_lanes(const bf16* from) { return (VFloat)(__builtin_convertvector(load<VShort>(from), VWord) << 16); }
inline void store_lanes(float* to, VFloat v) { store(to, v); }
inline void store_lanes(bf16* to, VFloat v) { store(to, to_bfloat16(v)); }

}  // namespace pk
