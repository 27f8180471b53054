// matmul: oneDNN where it is built in and can, the portable product otherwise.
#include "cpu/gemm.h"

#include <algorithm>

#include "core/parallel.h"
#include "cpu/cpu_backend.h"
#include "cpu/scratch.h"
#include "cpu/small_gemm.h"

namespace pk {

std::string gemm_name() { return onednn_version() ? std::string("oneDNN ") + onednn_version() : "portable"; }

void CpuBackend::matmul(Tensor out, Tensor a, bool transpose_a, Tensor b, bool transpose_b, const float* bias, bool accumulate) {
  if (out.rows == 0 || out.cols == 0) return;
  MatmulCall call{out, a, b, transpose_a, transpose_b, bias, accumulate};
  if (!onednn_matmul(call)) portable_matmul(call);
}

int64_t CpuBackend::packed_bytes(int64_t n, int64_t k) const { return onednn_packed_bytes(n, k); }
void CpuBackend::pack(void* packed, Tensor weight) { onednn_pack(packed, weight, true); }

namespace {

inline float element(const Tensor& t, int64_t row, int64_t col) {
  int64_t at = row * t.cols + col;
  return t.dtype == DType::f32 ? t.as<float>()[at] : to_float(t.as<bf16>()[at]);
}

constexpr int64_t kRows = 64, kCols = 256, kDepth = 256;

// One block of rows: packs op(b) by [kDepth x kCols] panels and op(a) to float32, then small_gemm.
void portable_rows(const MatmulCall& call, int64_t row_begin, int64_t row_end) {
  static thread_local Scratch scratch;
  float* a_block = scratch.get<float>(kRows * kDepth + kDepth * kCols + kRows * kCols);
  float* b_panel = a_block + kRows * kDepth;
  float* c_block = b_panel + kDepth * kCols;
  int64_t n = call.out.cols, depth = call.transpose_a ? call.a.rows : call.a.cols, m = row_end - row_begin;
  for (int64_t j0 = 0; j0 < n; j0 += kCols) {
    int64_t cols = std::min(kCols, n - j0), padded = (cols + 15) / 16 * 16;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < padded; ++j) {
        float start = call.bias && j < cols ? call.bias[j0 + j] : 0.0f;
        c_block[i * kCols + j] = start + (call.accumulate && j < cols ? element(call.out, row_begin + i, j0 + j) : 0.0f);
      }
    for (int64_t k0 = 0; k0 < depth; k0 += kDepth) {
      int64_t k = std::min(kDepth, depth - k0);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t p = 0; p < k; ++p)
          a_block[i * kDepth + p] = call.transpose_a ? element(call.a, k0 + p, row_begin + i) : element(call.a, row_begin + i, k0 + p);
      for (int64_t p = 0; p < k; ++p)
        for (int64_t j = 0; j < padded; ++j)
          b_panel[p * kCols + j] = j >= cols ? 0.0f : call.transpose_b ? element(call.b, j0 + j, k0 + p) : element(call.b, k0 + p, j0 + j);
      small_gemm(m, padded, k, a_block, kDepth, 1, b_panel, kCols, c_block, kCols, true);
    }
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < cols; ++j) {
        int64_t at = (row_begin + i) * n + j0 + j;
        if (call.out.dtype == DType::f32)
          call.out.as<float>()[at] = c_block[i * kCols + j];
        else
          call.out.as<bf16>()[at] = to_bf16(c_block[i * kCols + j]);
      }
  }
}

}  // namespace

void portable_matmul(const MatmulCall& call) {
  parallel_for(call.out.rows, kRows, [&](int64_t begin, int64_t end) { portable_rows(call, begin, end); });
}

}  // namespace pk
