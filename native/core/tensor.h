// Tensor: a view (it owns nothing) of a row-major matrix in some backend's memory.
#pragma once
#include <cstdint>

#include "core/portable.h"

namespace pk {

enum class DType : uint8_t { f32, bf16, f64, packed /* bf16 weight as Backend::pack laid it out */ };

inline int64_t dtype_size(DType t) { return t == DType::f64 ? 8 : t == DType::f32 ? 4 : 2; }

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0;
  int64_t cols = 0;

  Tensor() = default;
  Tensor(void* data, DType dtype, int64_t rows, int64_t cols) : data(data), dtype(dtype), rows(rows), cols(cols) {}
  Tensor(float* data, int64_t rows, int64_t cols) : Tensor(data, DType::f32, rows, cols) {}

  int64_t size() const { return rows * cols; }
  int64_t bytes() const { return size() * dtype_size(dtype); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  float* f32() const { return static_cast<float*>(data); }
  // Rows [begin, begin + count) of this matrix.
  Tensor slice_rows(int64_t begin, int64_t count) const { return {static_cast<char*>(data) + begin * cols * dtype_size(dtype), dtype, count, cols}; }
};

// bfloat16 as stored: the upper half of a float32. Arithmetic is done in float32.
struct bf16 {
  uint16_t bits;
};

PK_PORTABLE inline float to_float(bf16 v) { return __builtin_bit_cast(float, static_cast<uint32_t>(v.bits) << 16); }
PK_PORTABLE inline float to_float(float v) { return v; }

// Round to nearest even; NaN stays NaN.
PK_PORTABLE inline bf16 to_bf16(float v) {
  uint32_t u = __builtin_bit_cast(uint32_t, v);
  uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  uint32_t quiet = (u >> 16) | 0x40u;
  return {static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? quiet : rounded)};
}
template <class T>
PK_PORTABLE T from_float(float v);
template <>
PK_PORTABLE inline float from_float<float>(float v) {
  return v;
}
template <>
PK_PORTABLE inline bf16 from_float<bf16>(float v) {
  return to_bf16(v);
}

}  // namespace pk
