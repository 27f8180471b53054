// A float32 matrix product for operands that fit in cache: registers tiled 8 x 32, A read by any strides.
// Used inside attention and by the portable matmul. Loops over k run in order, so results do not depend on tiling of M.
#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace pk {

typedef float vec16 __attribute__((vector_size(64), aligned(4), may_alias));

typedef uint16_t half16 __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint32_t word16 __attribute__((vector_size(64)));

inline vec16 load16(const float* p) { return *reinterpret_cast<const vec16*>(p); }
inline vec16 load16(const bf16* p) { return (vec16)(__builtin_convertvector(*reinterpret_cast<const half16*>(p), word16) << 16); }

namespace detail {

template <int MR, int NV, class B>
inline void gemm_tile(int64_t k, const float* a, int64_t a_row, int64_t a_col, const B* b, int64_t b_row, float* c, int64_t c_row, bool accumulate) {
  vec16 sum[MR][NV];
  for (int m = 0; m < MR; ++m)
    for (int v = 0; v < NV; ++v) sum[m][v] = accumulate ? *reinterpret_cast<const vec16*>(c + m * c_row + v * 16) : vec16{};
  for (int64_t i = 0; i < k; ++i) {
    vec16 bv[NV];
    for (int v = 0; v < NV; ++v) bv[v] = load16(b + i * b_row + v * 16);
    for (int m = 0; m < MR; ++m) {
      float scalar = a[m * a_row + i * a_col];
      for (int v = 0; v < NV; ++v) sum[m][v] += scalar * bv[v];
    }
  }
  for (int m = 0; m < MR; ++m)
    for (int v = 0; v < NV; ++v) *reinterpret_cast<vec16*>(c + m * c_row + v * 16) = sum[m][v];
}

template <int NV, class B>
inline void gemm_columns(int64_t m, int64_t k, const float* a, int64_t a_row, int64_t a_col, const B* b, int64_t b_row, float* c, int64_t c_row,
                         bool accumulate) {
  int64_t i = 0;
  for (; i + 8 <= m; i += 8) gemm_tile<8, NV>(k, a + i * a_row, a_row, a_col, b, b_row, c + i * c_row, c_row, accumulate);
  for (; i + 4 <= m; i += 4) gemm_tile<4, NV>(k, a + i * a_row, a_row, a_col, b, b_row, c + i * c_row, c_row, accumulate);
  for (; i + 2 <= m; i += 2) gemm_tile<2, NV>(k, a + i * a_row, a_row, a_col, b, b_row, c + i * c_row, c_row, accumulate);
  for (; i < m; ++i) gemm_tile<1, NV>(k, a + i * a_row, a_row, a_col, b, b_row, c + i * c_row, c_row, accumulate);
}

}  // namespace detail

// c[m,n] (+)= a[m,k] @ b[k,n], b float32 or bfloat16; n a multiple of 16 (callers pad). a element (i, j) is at a[i * a_row + j * a_col].
template <class B>
inline void small_gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_col, const B* b, int64_t b_row, float* c, int64_t c_row,
                       bool accumulate) {
  int64_t j = 0;
  if (m < 4)  // few rows: wider tiles, so that enough sums are in flight to hide the latency
    for (; j + 64 <= n; j += 64) detail::gemm_columns<4>(m, k, a, a_row, a_col, b + j, b_row, c + j, c_row, accumulate);
  for (; j + 32 <= n; j += 32) detail::gemm_columns<2>(m, k, a, a_row, a_col, b + j, b_row, c + j, c_row, accumulate);
  for (; j < n; j += 16) detail::gemm_columns<1>(m, k, a, a_row, a_col, b + j, b_row, c + j, c_row, accumulate);
}

}  // namespace pk
